"""Django's way to find the commands of an app."""
