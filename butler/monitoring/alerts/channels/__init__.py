"""Where messages go: webhooks, mail, and whatever apprise speaks."""
