"""What ``butler demo`` runs: an application that indexes a folder, and the show around it."""
