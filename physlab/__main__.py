"""``python -m physlab`` is the command ``physlab``."""

from physlab.cli import main

if __name__ == "__main__":
    main()
