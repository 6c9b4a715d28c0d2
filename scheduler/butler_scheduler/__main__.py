"""``python -m butler_scheduler`` is ``butler-scheduler``."""

from butler_scheduler.cli import main

if __name__ == "__main__":
    main(prog_name="butler-scheduler")
