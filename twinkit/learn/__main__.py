"""``python -m twinkit.learn NAME``: a card's numbers, computed anew and written down."""

import sys

from twinkit.learn.card import _main

if __name__ == "__main__":
    _main(sys.argv[1:])
