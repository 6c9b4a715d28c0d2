"""``python -m butler_workers`` is ``butler-worker``."""

from butler_workers.cli import main

if __name__ == "__main__":
    main(prog_name="butler-worker")
