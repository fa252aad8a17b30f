"""Logging in and out: a plain page with a form, which needs no script."""

import asyncio
from html import escape
from math import ceil
from urllib.parse import parse_qs, urlsplit

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from labonn.web.desk import Desk
from labonn.web.guarding import COOKIE
from labonn.web.sessions import LONGEST_S, Session, SlowDown

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>labonn: log in</title>
<link rel="stylesheet" href="/static/labonn.css">
</head>
<body class="login">
<main>
<h1><span class="brand">labonn</span></h1>
<form method="post" action="/login">
{said}
<label for="name">Name</label>
<input id="name" name="name" autocomplete="username" maxlength="64" required autofocus value="{name}">
<label for="secret">{secret}</label>
<input id="secret" name="secret" type="password" autocomplete="current-password" maxlength="1000" required>
<input type="hidden" name="next" value="{next}">
<button type="submit">Log in</button>
</form>
</main>
</body>
</html>
"""
_MOST_AT_ONCE = 2


def add_login(app: FastAPI, desk: Desk, *, over_tls: bool) -> None:
    """Add the routes."""
    slow_down = SlowDown()
    hashing = asyncio.Semaphore(_MOST_AT_ONCE)  # each takes 32 MiB, and a fifth of a second of a core

    def page(said: str = "", name: str = "", target: str = "/", status: int = 200, wait_s: float = 0.0) -> Response:
        secret = "Password, or token" if desk.access.takes_token else "Password"
        alert = f'<p class="alert" role="alert">{escape(said)}</p>' if said else ""
        html = _PAGE.format(said=alert, name=escape(name), secret=secret, next=escape(target))
        headers = {"cache-control": "no-store"} | ({"retry-after": str(ceil(wait_s))} if wait_s else {})
        return HTMLResponse(html, status, headers=headers)

    @app.get("/login", include_in_schema=False)
    async def show(request: Request) -> Response:
        if request.state.session is not None:
            return RedirectResponse("/", 303)
        return page(target=_own_path(request.query_params.get("next", "/")))

    @app.post("/login", include_in_schema=False)
    async def log_in(request: Request) -> Response:
        form = parse_qs((await request.body()).decode("utf-8", errors="replace"), keep_blank_values=True)
        name, secret, target = (form.get(key, [""])[0] for key in ("name", "secret", "next"))
        name, target = name.strip()[:64], _own_path(target)
        address = request.client.host if request.client else "unknown"
        # Counted for the name at this address, too: behind a proxy, one address is everybody's.
        who = (f"{name.lower()} at {address}", address) if address != "127.0.0.1" else (f"{name.lower()} at {address}",)
        if wait_s := slow_down.wait_s(*who):
            return page(f"Too many attempts failed. Wait {ceil(wait_s)} s.", name, target, 429, wait_s)
        async with hashing:
            person = await asyncio.to_thread(desk.access.let_in, name, secret[:1000])
        if person is None:
            slow_down.failed(*who)
            desk.actions.note(None, "log in failed", name=name, address=address)
            return page("No such name, or not its password.", name, target, 401)
        slow_down.succeeded(*who)
        session = desk.sessions.begin(person)
        desk.actions.note(person, "log in", address=address)
        response = RedirectResponse(target, 303)
        response.set_cookie(
            COOKIE, session.key, max_age=int(LONGEST_S), httponly=True, samesite="strict", secure=over_tls
        )
        return response

    @app.post("/logout", include_in_schema=False)
    async def log_out(request: Request) -> Response:
        session = request.state.session
        if isinstance(session, Session) and session.key:
            desk.actions.note(session.person, "log out")
            desk.sessions.end(session)
        response = RedirectResponse("/login", 303)
        response.delete_cookie(COOKIE)
        return response


def _own_path(target: str) -> str:
    """Give a path of this page, whatever was asked for: nobody is sent elsewhere."""
    parts = urlsplit(target)
    fine = target.startswith("/") and not target.startswith(("//", "/\\")) and not parts.netloc and not parts.scheme
    return target if fine and target.isprintable() else "/"
