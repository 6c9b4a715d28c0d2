"""What ``butler dev`` runs: servers, a worker that follows the code, a scheduler."""
