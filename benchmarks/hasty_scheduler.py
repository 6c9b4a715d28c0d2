"""``butler-scheduler`` that looks for troubles every half second: for bad_day.py --quick."""

import butler_scheduler.monitor
from butler_scheduler.cli import main

from butler.monitoring.alerts.watchman import Watchman

butler_scheduler.monitor.TICK_EVERY_S = 0.2
Watchman.__init__.__kwdefaults__["look_every_s"] = 0.5

if __name__ == "__main__":
    main()
