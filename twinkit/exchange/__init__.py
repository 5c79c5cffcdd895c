"""Exchange: a twin in the forms in which others keep and read it, and back.

A *crate* is one state of a store as a Research Object Crate: what an archive takes, a reviewer opens, and another
machine rebuilds to the same numbers.

    tk.exchange.crate("shimla.twin", "shimla.zip", tag="paper-2026")
    tk.exchange.rebuild("shimla.zip", "again.twin", head="9f3c...")
"""

from twinkit.exchange.crate import Crate, crate, rebuild

__all__ = ["Crate", "crate", "rebuild"]
