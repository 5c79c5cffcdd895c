"""`python -m twinkit` is `twinkit`, also where there is no make and no PATH."""

from __future__ import annotations

from twinkit.cli import main

if __name__ == "__main__":
    main()
