"""``python -m butler_scheduler`` is ``butler-scheduler``."""

from butler_scheduler.start import scheduler

if __name__ == "__main__":
    scheduler()
