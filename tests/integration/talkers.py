"""Tasks that log the same, one of each form, and what there is of it afterwards."""

TALKERS = ["talk", "atalk", "isolated_talk"]


def said(handle):
    """Its lines, as level, logger and message."""
    return [(line.level, line.logger, line.message) for line in handle.logs()]
