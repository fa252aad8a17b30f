"""What every request passes before anything else sees it: its origin, its size, who it is from; and what goes back.

Pure ASGI, so that it stands before the page's sockets, too.
"""

import http
import json
import re
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import quote, urlsplit

from labonn.web.sessions import Session, Sessions
from labonn.web.users import Access

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

COOKIE = "labonn_session"
LARGEST_BODY = 64 << 10
SOCKET = "/_nicegui_ws/"
_FOR_EVERYBODY = ("/login", "/static/", "/favicon.ico", "/api/health")
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

# A page sends a few messages a second; a burst of typing, some dozens.
_MESSAGES_A_SECOND, _BURST = 50.0, 400.0
_BYTES_A_SECOND, _BYTES_AT_ONCE = 256e3, 2e6
_POLICY_VIOLATION = 1008

SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}
# Exceptions: 'unsafe-eval', as NiceGUI compiles its templates and event handlers in the browser; 'unsafe-inline' for
# styles, as Quasar styles elements one by one. Inline scripts run only with the nonce of this very answer.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self' 'nonce-{nonce}' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; manifest-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox; frame-ancestors 'none'"
PLAIN_POLICY = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'"


class Guarded:
    """Stands before the page.

    Parameters
    ----------
    app
        The page.
    access, sessions
        Who is let in, and who is in.
    over_tls
        Whether the page is served over TLS: browsers are then told to insist on it.
    """

    def __init__(self, app: App, access: Access, sessions: Sessions, *, over_tls: bool) -> None:
        self._app = app
        self._access = access
        self._sessions = sessions
        self._over_tls = over_tls
        self._local = None if access.local is None else Session(access.local, 0.0, 0.0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or refuse it."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = _headers(scope)
        send = self._with_headers(send)
        if why := self._foreign(scope, headers):
            await _refuse(send, 403, why)
            return
        if scope["path"].startswith(SOCKET):
            await _refuse(send, 400, "the page talks over a websocket only")
            return
        try:
            announced = int(headers.get("content-length", "0"))
        except ValueError:
            announced = LARGEST_BODY + 1
        if announced > LARGEST_BODY:
            await _refuse(send, 413, f"a request may have {LARGEST_BODY >> 10} kB")
            return
        session = self._session(headers)
        if session is None and not _is_for_everybody(scope["path"]):
            await self._send_to_login(scope, headers, send)
            return
        scope.setdefault("state", {})["session"] = session
        await self._app(scope, _limited(receive), send)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = _headers(scope)
        session = self._session(headers)
        origin = headers.get("origin")
        if session is None or origin is None or self._foreign(scope, headers) or not scope["path"].startswith(SOCKET):
            await receive()
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
            return
        scope.setdefault("state", {})["session"] = session
        flood = _Flood()

        async def receive_if_allowed() -> Message:
            message = await receive()
            if message["type"] == "websocket.receive":
                size = len(message.get("bytes") or b"") + len(message.get("text") or "")
                if flood.too_much(size) or not self._goes_on(session):
                    await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
                    return {"type": "websocket.disconnect", "code": _POLICY_VIOLATION}
            return message

        await self._app(scope, receive_if_allowed, _until_closed(send))

    def _session(self, headers: dict[str, str]) -> Session | None:
        if self._local is not None:
            return self._local
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return None
        return self._sessions.find(cookie.value if cookie else None)

    def _goes_on(self, session: Session) -> bool:
        if session is self._local:
            return True
        # An open page says something every few seconds; that is what being there means.
        return self._sessions.find(session.key) is not None

    def _foreign(self, scope: Scope, headers: dict[str, str]) -> str | None:
        """Say what is wrong with where a request comes from; None where nothing is."""
        host = headers.get("host", "")
        try:
            name = urlsplit(f"//{host}").hostname
        except ValueError:
            name = None
        if self._local is not None and name not in _LOOPBACK:
            # Without a login, a name that somebody else's DNS gives this address would let every web page in.
            return f"this page is for this computer alone, and is not called {name!r}"
        changes = scope["type"] == "websocket" or scope["method"] not in ("GET", "HEAD", "OPTIONS")
        origin = headers.get("origin")
        if changes and origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return f"it comes from another page ({origin[:80]})"
        if changes and headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return "it comes from another page"
        return None

    async def _send_to_login(self, scope: Scope, headers: dict[str, str], send: Send) -> None:
        if scope["method"] == "GET" and "text/html" in headers.get("accept", ""):
            where = scope["path"] + (f"?{scope['query_string'].decode('latin-1')}" if scope["query_string"] else "")
            location = f"/login?next={quote(where, safe='/')}".encode()
            await send({"type": "http.response.start", "status": 303, "headers": [(b"location", location)]})
            await send({"type": "http.response.body"})
        else:
            await _refuse(send, 401, "log in first")

    def _with_headers(self, send: Send) -> Send:
        """Add the headers of every answer; of a page, allow its own inline scripts and no others."""
        start: Message | None = None
        body = bytearray()
        nonce = secrets.token_urlsafe(16)

        def add(headers: list[tuple[bytes, bytes]], policy: str) -> list[tuple[bytes, bytes]]:
            have = {name.lower() for name, _ in headers}
            wanted = {**SECURITY_HEADERS, "content-security-policy": policy}
            if self._over_tls:
                wanted["strict-transport-security"] = "max-age=31536000"
            return headers + [(n.encode(), v.encode()) for n, v in wanted.items() if n.encode() not in have]

        async def send_on(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", []))
                if any(name.lower() == b"x-nicegui-content" for name, _ in headers):
                    start = message
                    return
                await send({**message, "headers": add(headers, PLAIN_POLICY)})
            elif start is not None:
                body.extend(message.get("body", b""))
                if message.get("more_body"):
                    return
                page = re.sub(rb"<script\b", b'<script nonce="' + nonce.encode() + b'"', bytes(body))
                headers = [(n, v) for n, v in start["headers"] if n.lower() != b"content-length"]
                headers.append((b"content-length", str(len(page)).encode()))
                await send({**start, "headers": add(headers, PAGE_POLICY.format(nonce=nonce))})
                await send({"type": "http.response.body", "body": page})
            else:
                await send(message)

        return send_on


class _Flood:
    """Counts what comes over a socket: a bucket of messages and one of bytes, which fill again with time."""

    def __init__(self) -> None:
        self._messages, self._bytes, self._last_s = _BURST, _BYTES_AT_ONCE, time.monotonic()

    def too_much(self, size: int) -> bool:
        now_s = time.monotonic()
        passed_s, self._last_s = now_s - self._last_s, now_s
        self._messages = min(_BURST, self._messages + passed_s * _MESSAGES_A_SECOND) - 1
        self._bytes = min(_BYTES_AT_ONCE, self._bytes + passed_s * _BYTES_A_SECOND) - size
        return self._messages < 0 or self._bytes < 0


def _until_closed(send: Send) -> Send:
    """Swallow what is sent after a socket was closed: whoever sends it has not heard of that yet."""

    async def send_on(message: Message) -> None:
        try:
            await send(message)
        except RuntimeError:
            if message["type"] not in ("websocket.send", "websocket.close"):
                raise

    return send_on


def _limited(receive: Receive) -> Receive:
    """Cut a body that is longer than it said."""
    got = 0

    async def receive_on() -> Message:
        nonlocal got
        message = await receive()
        if message["type"] == "http.request":
            got += len(message.get("body", b""))
            if got > LARGEST_BODY:
                return {"type": "http.disconnect"}
        return message

    return receive_on


def _is_for_everybody(path: str) -> bool:
    return any(path == one or (one.endswith("/") and path.startswith(one)) for one in _FOR_EVERYBODY)


def _headers(scope: Scope) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}


async def _refuse(send: Send, status: int, why: str) -> None:
    body = json.dumps({"detail": f"{http.HTTPStatus(status).phrase}: {why}"}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
