"""What ``butler check`` looks at: everything that is wrong with an installation, all at once."""

from butler.checking.findings import Finding, Level
from butler.checking.installation import check_installation

__all__ = ["Finding", "Level", "check_installation"]
