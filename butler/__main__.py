"""``python -m butler`` is ``butler``."""

from butler.cli import main

if __name__ == "__main__":
    main()
