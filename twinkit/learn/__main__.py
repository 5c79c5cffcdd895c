"""``python -m twinkit.learn NAME``: a card's numbers, computed anew and written down."""

import sys

from twinkit.error import TwinError
from twinkit.learn.card import _main

if __name__ == "__main__":
    try:
        _main(sys.argv[1:])
    except TwinError as wrong:
        sys.exit(str(wrong))
