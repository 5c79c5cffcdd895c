"""One request of a citizen or an official: in which language, from which browser, and how it is answered."""

from __future__ import annotations

import csv
import functools
import hmac
import importlib.resources
import ipaddress
import secrets
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from twinkit.error import TwinError
from twinkit.participate.database import Unanswered
from twinkit.participate.limits import TooOften
from twinkit.participate.pin import LONGEST

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twinkit.participate.pin import Happening, Pin

__all__ = ["LANGUAGES", "Visit", "phrases", "style"]

LANGUAGES = (("en", "English"), ("hi", "हिन्दी"), ("fr", "Français"), ("fa", "فارسی"))
KEPT = ("square", "zoom", "near", "state", "page", "part", "pin")
"""What an address keeps when the language changes."""
SORRY = ("words", "subject", "square", "code", "pin", "key", "reason", "state")
"""Faults that citizens and officials make every day, said in their language."""


@functools.cache
def phrases() -> dict[str, dict[str, str]]:
    """What the pages say, by key and language."""
    text = importlib.resources.files("twinkit.participate").joinpath("words.csv").read_text(encoding="utf-8")
    return {row.pop("key"): row for row in csv.DictReader(text.splitlines())}


@functools.cache
def style() -> tuple[str, str]:
    """The sheet of styles, and a mark that changes with it: browsers keep the sheet as long as the mark is the same."""
    import hashlib

    text = importlib.resources.files("twinkit.participate").joinpath("pages", "style.css").read_text("utf-8")
    return text, hashlib.sha256(text.encode()).hexdigest()[:12]


class Visit:
    """One request; `pages` is the application's own, with register, templates and grid."""

    def __init__(self, pages: Any, request: Any, fields: Mapping[str, str]) -> None:
        self.pages, self.request, self.fields = pages, request, fields
        asked = self.query("language") or self.cookie("language")
        codes = [c for c, _ in LANGUAGES]
        told = [p.partition(";")[0].strip()[:2] for p in request.headers.get("accept-language", "")[:200].split(",")]
        self.language = asked if asked in codes else next((c for c in told if c in codes), "en")
        held = self.cookie("visitor")
        self.known = len(held) == 32 and held.isascii() and held.isalnum()
        self.visitor = held if self.known else secrets.token_hex(16)
        self.source = _line(request.client.host if request.client else "nowhere")
        self._told = False

    def query(self, name: str) -> str:
        """What the address says; "" for nothing."""
        return str(self.request.query_params.get(name, ""))[:200]

    def _name(self, name: str) -> str:
        # A browser takes a cookie of this prefix from this very host alone, over TLS, for all its paths.
        whole = self.pages.secure and not self.request.scope.get("root_path", "")
        return f"{'__Host-' if whole else ''}twinkit-{name}"

    def cookie(self, name: str) -> str:
        """What the browser keeps under a name; "" for nothing."""
        return str(self.request.cookies.get(self._name(name), ""))[:600]

    def field(self, name: str) -> str:
        """What was written into a field of the form; "" for nothing."""
        return self.fields.get(name, "")

    def numbers(self, name: str, count: int) -> tuple[int, ...] | None:
        """So many whole numbers with commas between them, or None."""
        parts = self.query(name).split(",")
        fit = len(parts) == count and all(p.isascii() and p.isdigit() and len(p) < 7 for p in parts)
        return tuple(map(int, parts)) if fit else None

    def number_of(self, text: str) -> int:
        """The number of a pin as an address or a form has it."""
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            raise TwinError("the number of a pin", found="another", hint="go back and try again", where="pin")
        return int(text)

    # ---------------------------------------------------------------- in which language

    def say(self, key: str, **parts: Any) -> str:
        """A phrase in the visitor's language."""
        row = phrases()[key]
        return (row.get(self.language) or row["en"]).format(**parts)

    def figure(self, name: str) -> str:
        """The name of a study's figure in the visitor's language, where it has one."""
        return self.say(f"figure {name}") if f"figure {name}" in phrases() else name

    def number(self, value: float) -> str:
        """A number as the language writes it."""
        text = f"{value:,.0f}" if value == round(value) or abs(value) >= 100 else f"{value:,.3g}"
        if self.language == "fr":
            text = text.replace(",", "\u202f").replace(".", ",")
        return self.digits(text)

    def digits(self, text: str) -> str:
        """A number that is written already, in the digits of the language."""
        return text.translate(str.maketrans("0123456789,.", "۰۱۲۳۴۵۶۷۸۹٬٫")) if self.language == "fa" else text

    def length(self, metres: float) -> str:
        """A length in m or km."""
        return f"{self.number(metres / 1000)} km" if metres >= 1000 else f"{self.number(metres)} m"

    def regret(self, fault: TwinError) -> str:
        """What went wrong, in the visitor's language where it happens every day."""
        if isinstance(fault, TooOften):
            return self.say("sorry_source", most=self.number(fault.most), minutes=self.number(fault.minutes))
        if fault.where in SORRY:
            return self.say(f"sorry_{fault.where}", most=self.number(LONGEST))
        if isinstance(fault, Unanswered):
            return self.say("sorry_register")
        return f"{fault.expected}; {fault.found}. {fault.hint}"

    # ---------------------------------------------------------------- who sent it

    def token(self) -> str:
        """What only a page of this register can have given to this browser."""
        self._told = True
        return str(self.pages.register._keyed(f"form {self.visitor}"))

    def foreign(self) -> bool:
        """Whether a form was sent from a page of somebody else."""
        origin = self.request.headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != self.request.headers.get("host", ""):
            return True
        return self.request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")

    def ours(self) -> bool:
        """Whether a form was made here for this browser, and sent from here."""
        held = str(self.pages.register._keyed(f"form {self.visitor}")).encode()
        return not self.foreign() and self.known and hmac.compare_digest(held, self.field("token").encode())

    # ---------------------------------------------------------------- answers

    def page(self, template: str, here: str, /, *, status: int = 200, **parts: Any) -> Any:
        """A page of the templates, filled in."""
        kept = {k: str(v)[:100] for k, v in self.request.query_params.items() if k in KEPT}
        text = self.pages.environment.get_template(template).render(
            say=self.say, number=self.number, figure=self.figure, length=self.length, language=self.language,
            # an answer to a form has no address of its own that could be asked for in another language
            languages=LANGUAGES if self.request.method == "GET" else (),
            root=self.request.scope.get("root_path", ""), here=here, place=self.pages.title, grid=self.pages.grid,
            days=self.number(self.pages.register.choices["keep"]), token=self.token, sheet=style()[1],
            most=LONGEST, told=_told, other=lambda **given: urlencode({**kept, **given}), **parts,
        )  # fmt: skip
        answer = self.pages.web.responses.HTMLResponse(text, status_code=status)
        if self._told and not self.known:
            # Lax, so that whoever comes by a link from elsewhere is still the same; forms carry a token anyway.
            self.keep(answer, "visitor", self.visitor, hours=24 * 365, same="lax")
        if self.query("language") == self.language:
            self.keep(answer, "language", self.language, hours=24 * 365, same="lax")
        return answer

    def sorry(self, message: str, status: int) -> Any:
        """A page that says what did not work."""
        return self.page("said.html", "", status=status, heading="sorry", message=message)

    def to(self, path: str) -> Any:
        """Elsewhere, by a new request, so that reloading does not send a form again."""
        root = self.request.scope.get("root_path", "")
        return self.pages.web.responses.RedirectResponse(f"{root}{path}", status_code=303)

    def keep(self, answer: Any, name: str, value: str, *, hours: int, same: str = "strict") -> None:
        """Let the browser keep something that no script reads."""
        answer.set_cookie(
            self._name(name), value, max_age=3600 * hours, httponly=True, samesite=same, secure=self.pages.secure,
            path=self.request.scope.get("root_path", "") or "/",
        )  # fmt: skip


def _told(pin: Pin) -> list[Happening]:
    """What there is to say about a pin's way: of each state the newest step that says anything."""
    newest = {step.state: step for step in pin.happenings if step.reason or step.figures}
    return [step for step in pin.happenings if step is newest.get(step.state)]


def _line(host: str) -> str:
    """The line from which somebody asks: of an address of version 6 the part that its provider gave.

    >>> _line("203.0.113.7"), _line("2001:db8:1:2:3:4:5:6"), _line("::ffff:203.0.113.7")
    ('203.0.113.7', '2001:db8:1:2::/64', '203.0.113.7')
    """
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host[:100] or "nowhere"
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))
    return str(address)
