"""The server behind the screens: Streamlit, and the headers and host names it answers with.

`streamlit run` finds `app` here; the screens themselves start in `screens/pages.py`.

Does not see: a browser that ignores these headers. The screens show dataset text in text-only
widgets as well, so that either guard suffices.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import streamlit as st
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# A page open in the same browser may point its own name at 127.0.0.1 (DNS rebinding).
HOSTS: Final = ("127.0.0.1", "localhost")

# Streamlit sets styles from scripts ('unsafe-inline') and downloads tables from blobs.
# Source: W3C Content Security Policy Level 3.
POLICY: Final = (
    "default-src 'self'; base-uri 'none'; connect-src 'self'; font-src 'self' data:; "
    "form-action 'none'; frame-ancestors 'none'; frame-src 'none'; img-src 'self' data: blob:; "
    "media-src 'none'; object-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "worker-src 'self' blob:"
)
HEADERS: Final[tuple[tuple[bytes, bytes], ...]] = (
    (b"content-security-policy", POLICY.encode()),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)


@dataclass(frozen=True, slots=True)
class Guarded:
    """An ASGI app whose every answer carries `HEADERS`."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *HEADERS]}
            await send(message)

        await self.app(scope, receive, guarded)


app = st.App(
    Path(__file__).parent / "screens" / "pages.py",
    middleware=[Middleware(Guarded), Middleware(TrustedHostMiddleware, allowed_hosts=list(HOSTS))],
)
