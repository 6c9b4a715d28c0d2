"""The example of an application: what it does is in `main`."""
