"""NAME=VALUE on the command line, as the values that a notebook takes."""

from __future__ import annotations

import ast
from typing import Any

from twinkit.error import TwinError

__all__ = ["pairs", "several"]


def pairs(given: list[str] | None, defaults: dict[str, Any]) -> dict[str, Any]:
    """``["seed=3", "region=RW:Kigali"]`` as a dict; a value is text where the notebook's own is.

    >>> pairs(["seed=3", "name=3"], {"seed": 1, "name": "a"})
    {'seed': 3, 'name': '3'}
    """
    return {name: _value(text, defaults.get(name)) for name, text in (_split(g) for g in given or [])}


def several(given: list[str] | None, defaults: dict[str, Any]) -> dict[str, list[Any]]:
    """``["seed=1,2,3", "frequency=7e8,3.5e9"]`` as lists; ``seed=0:10`` counts, and ``;`` parts texts with commas.

    >>> several(["seed=0:3", "place=76,30;77,31"], {"seed": 1, "place": ""})
    {'seed': [0, 1, 2], 'place': ['76,30', '77,31']}
    """
    found: dict[str, list[Any]] = {}
    for name, text in (_split(g) for g in given or []):
        default = defaults.get(name)
        low, colon, high = text.partition(":")
        if colon and type(default) is int and low.isdigit() and high.isdigit():
            values: list[Any] = list(range(int(low), int(high)))
        else:
            values = [_value(t.strip(), default) for t in text.split(";" if ";" in text else ",")]
        found.setdefault(name, []).extend(values)
    return found


def _split(pair: str) -> tuple[str, str]:
    name, equals, text = pair.partition("=")
    if not equals or not name.strip():
        raise TwinError("NAME=VALUE", found=repr(pair), hint="write it like seed=3 or region=RW:Kigali")
    return name.strip(), text.strip()


def _value(text: str, default: Any) -> Any:
    if isinstance(default, str):
        return text
    if isinstance(default, bool) and text.lower() in {"true", "yes", "1", "false", "no", "0"}:
        return text.lower() in {"true", "yes", "1"}
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
