"""Butler inside of web frameworks that have applications, settings and commands of their own."""
