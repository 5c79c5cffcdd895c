"""What stands before the pages: headers on every answer, and no body beyond what a form can hold."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DRAINED", "HEADERS", "LARGEST", "Guard"]

LARGEST = 32 * 1024
"""Bytes of a form."""
DRAINED = 24 * 2**20
"""Bytes that are read and thrown away, so that the browser which sends them sees the answer and no broken line."""
PATIENCE = 20
"""[s] At most, for that."""
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    # With no referrer at all a browser sends no origin either, and a form cannot be told from a forged one.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}


class Guard:
    """An ASGI application in front of another.

    Parameters
    ----------
    app : ASGI application
    too_large : function of a scope
        Gives the answer, an ASGI application, to a body that is too large.
    secure : bool
        Whether a proxy in front speaks TLS: browsers are then told to ask by TLS alone.
    """

    def __init__(self, app: Any, *, too_large: Callable[[Any], Any], secure: bool = False) -> None:
        self.app, self.too_large = app, too_large
        headers = HEADERS | ({"strict-transport-security": "max-age=31536000"} if secure else {})
        self.headers = [(k.encode(), v.encode()) for k, v in headers.items()]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        from starlette.exceptions import HTTPException

        seen, begun, last = 0, False, False

        async def counted() -> Any:
            nonlocal seen, last
            message = await receive()
            seen += len(message.get("body", b""))
            last = not message.get("more_body", False)
            if seen > LARGEST:
                raise HTTPException(413)
            return message

        async def headed(message: Any) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                held = {k.lower() for k, _ in message["headers"]}
                new = [(k, v) for k, v in self.headers if k not in held]
                message = {**message, "headers": [*message["headers"], *new]}
            await send(message)

        async def refused() -> None:
            drained = seen
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    while not last and drained <= DRAINED:
                        message = await receive()
                        drained += len(message.get("body", b""))
                        if message["type"] != "http.request" or not message.get("more_body", False):
                            break
            await self.too_large(scope)(scope, receive, headed)

        told = dict(scope["headers"]).get(b"content-length", b"0")
        if not told.isdigit() or int(told) > LARGEST:
            await refused()
            return
        try:
            await self.app(scope, counted, headed)
        except HTTPException:
            if not begun:
                await refused()
