"""What goes in and out over HTTP: pydantic models, and nothing else.

They mirror the Python API's records by name, so that one page of docs is enough for both.
"""
