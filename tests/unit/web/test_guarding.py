"""What a request passes before anything else sees it."""

import asyncio
import re

import pytest

from labonn.web.guarding import LARGEST_BODY, SOCKET, Guarded
from labonn.web.sessions import Sessions
from labonn.web.users import Access, Person

ANNA = Person("anna", "operator")
PAGE = b'<html><script>one()</script><script type="module">two()</script></html>'


class App:
    """What is guarded: remembers what reached it, and answers with a page or an echo of messages."""

    def __init__(self, page=True):
        self.page, self.reached, self.got = page, [], []

    async def __call__(self, scope, receive, send):
        self.reached.append((scope["path"], scope["state"]["session"]))
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            while (message := await receive())["type"] == "websocket.receive":
                self.got.append(message["text"])
            return
        message = {"more_body": True}
        while message.get("more_body"):
            message = await receive()
            self.got.append(message)
            if message["type"] == "http.disconnect":
                return
        headers = [(b"content-type", b"text/html")] + ([(b"x-nicegui-content", b"page")] if self.page else [])
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": PAGE})


class Guard:
    """An application and its guard, asked without a network."""

    def __init__(self, local=None, page=True, over_tls=False):
        self.app, self.sessions = App(page), Sessions()
        self.guarded = Guarded(self.app, Access(local=local), self.sessions, over_tls=over_tls)

    def login(self):
        return {"cookie": f"labonn_session={self.sessions.begin(ANNA).key}"}

    def ask(self, path="/", method="GET", body=(b"",), **headers):
        sent = []
        left = list(body)
        scope = {
            "type": "http", "path": path, "method": method, "query_string": b"a=1", "headers": encoded(headers),
        }  # fmt: skip

        async def receive():
            return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

        async def send(message):
            sent.append(message)

        asyncio.run(self.guarded(scope, receive, send))
        return Answer(sent)

    def talk(self, messages=(), path=SOCKET + "socket.io", between=None, **headers):
        sent, left = [], list(messages)
        scope = {"type": "websocket", "path": path, "headers": encoded(headers), "state": {}}

        async def receive():
            if not sent:
                return {"type": "websocket.connect"}
            if between is not None:
                between()
            return {"type": "websocket.receive", "text": left.pop(0)} if left else {"type": "websocket.disconnect"}

        async def send(message):
            sent.append(message)

        asyncio.run(self.guarded(scope, receive, send))
        return [message["type"] for message in sent]


class Answer:
    def __init__(self, sent):
        self.status = sent[0]["status"]
        self.headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        self.body = b"".join(message.get("body", b"") for message in sent[1:])


def encoded(headers):
    named = {"host": "127.0.0.1:8080", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return [(name.encode(), value.encode()) for name, value in named.items()]


@pytest.fixture
def guard():
    return Guard()


def test_who_is_not_logged_in_is_sent_to_log_in_or_told_so(guard):
    answer = guard.ask("/runs", accept="text/html")
    assert (answer.status, answer.headers["location"]) == (303, "/login?next=/runs%3Fa%3D1")
    assert guard.ask("/api/benches").status == 401
    assert guard.ask("/login").status == 200
    assert guard.ask("/loginx").status == 401
    assert [path for path, _ in guard.app.reached] == ["/login"]


def test_who_is_logged_in_is_let_through_as_who_they_are(guard):
    assert guard.ask("/runs", **guard.login()).status == 200
    ((_, session),) = guard.app.reached
    assert session.person == ANNA


@pytest.mark.parametrize("cookie", ["labonn_session=guess", "labonn_session=", "other=1", "\x01;;=", "a" * 5000])
def test_a_cookie_that_is_none_of_ours_opens_nothing(guard, cookie):
    assert guard.ask("/api/benches", cookie=cookie).status == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "http://127.0.0.1:8080"}, 200),
        ({}, 200),  # no browser: a program with the session's cookie
        ({"sec_fetch_site": "same-origin"}, 200),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://127.0.0.1:9999"}, 403),
        ({"origin": "null"}, 403),
        ({"sec_fetch_site": "cross-site"}, 403),
        ({"sec_fetch_site": "same-site"}, 403),
    ],
)
def test_what_changes_something_comes_from_this_page_alone(guard, headers, status):
    assert guard.ask("/api/benches/mono/dark", "POST", **headers, **guard.login()).status == status


def test_without_a_login_the_page_answers_to_names_of_this_computer_alone():
    guard = Guard(local=ANNA)
    assert guard.ask("/").status == 200
    assert guard.ask("/", host="localhost:8080").status == 200
    assert guard.ask("/", host="[::1]:8080").status == 200
    assert guard.ask("/", host="rebound.evil.example").status == 403
    assert guard.ask("/", host="").status == 403


def test_a_body_is_limited_whether_it_says_its_length_or_not(guard):
    cookie = guard.login()
    assert guard.ask("/login", "POST", content_length=str(10 << 20), **cookie).status == 413
    assert guard.ask("/login", "POST", content_length="ten", **cookie).status == 413
    assert guard.ask("/login", "POST", body=[b"x" * LARGEST_BODY], **cookie).status == 200
    pieces = [b"x" * (LARGEST_BODY // 2)] * 3
    with pytest.raises(IndexError):  # it was cut: nothing was answered
        guard.ask("/login", "POST", body=pieces, **cookie)
    assert guard.app.got[-1]["type"] == "http.disconnect"


def test_inline_scripts_run_with_the_nonce_of_their_answer_alone(guard):
    first, second = (guard.ask("/", **guard.login()) for _ in range(2))
    policy = first.headers["content-security-policy"]
    nonce = re.search(r"'nonce-([\w-]+)'", policy).group(1)
    assert first.body.count(f'<script nonce="{nonce}"'.encode()) == 2
    assert int(first.headers["content-length"]) == len(first.body)
    assert nonce not in second.headers["content-security-policy"]
    assert "'unsafe-inline'" not in policy.partition("script-src")[2].partition(";")[0]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy


def test_what_is_no_page_may_run_no_script_at_all():
    guard = Guard(page=False)
    policy = guard.ask("/login").headers["content-security-policy"]
    assert "script-src" not in policy
    assert "default-src 'none'" in policy


def test_over_tls_browsers_are_told_to_insist_on_it():
    assert "strict-transport-security" in Guard(over_tls=True).ask("/login").headers
    assert "strict-transport-security" not in Guard().ask("/login").headers


SAME = {"origin": "http://127.0.0.1:8080"}


def test_a_socket_needs_a_session_and_this_pages_origin(guard):
    cookie = guard.login()
    assert guard.talk(["hello"], **SAME, **cookie) == ["websocket.accept"]
    assert guard.app.got == ["hello"]
    for headers in (SAME, cookie, {"origin": "http://evil.example", **cookie}, {"origin": "null", **cookie}):
        assert guard.talk(["hello"], **headers) == ["websocket.close"], headers
    assert guard.talk(["hello"], path="/elsewhere", **SAME, **cookie) == ["websocket.close"]
    assert len(guard.app.reached) == 1
    assert guard.ask(SOCKET + "socket.io", **cookie).status == 400, "and there is no other way than a socket"


def test_a_socket_that_floods_is_closed_and_one_that_types_is_not(guard):
    assert guard.talk(["key"] * 300, **SAME, **guard.login()) == ["websocket.accept"]
    assert guard.talk(["flood"] * 5_000, **SAME, **guard.login())[-1] == "websocket.close"
    assert guard.app.got.count("flood") < 1_000
    assert guard.talk(["x" * 500_000] * 10, **SAME, **guard.login())[-1] == "websocket.close"


def test_a_socket_ends_with_its_session(guard):
    session = guard.sessions.begin(ANNA)
    cookie = {"cookie": f"labonn_session={session.key}"}
    ended = guard.talk(["one", "two"], between=lambda: guard.sessions.end(session), **SAME, **cookie)
    assert ended[-1] == "websocket.close"
    assert guard.app.got == []
