"""``python -m butler_workers`` is ``butler-worker``."""

from butler_workers.start import worker

if __name__ == "__main__":
    worker()
