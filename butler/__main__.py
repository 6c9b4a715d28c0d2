"""``python -m butler`` is ``butler``."""

from butler import interpreter
from butler.cli import main

if __name__ == "__main__":
    interpreter.collect_seldom()
    main()
