"""Who is told: mails through a real SMTP server, objects to a real HTTP server, both on this computer."""

import json
import shutil
import ssl
import subprocess
import threading
from contextlib import contextmanager
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from labonn.errors import LabonnError
from labonn.instruments.schedule import Schedule
from labonn.instruments.telling import Email, Webhook
from labonn.jobs.mail import send_mail
from labonn.jobs.message import Message
from labonn.jobs.recalibrating import recalibrate_if_due
from labonn.jobs.tell import tell, tell_again
from labonn.jobs.webhook import post


class Postbox:
    """What an SMTP server was handed."""

    def __init__(self):
        self.mails = []
        self.logins = []
        self.refuses = ()

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address in self.refuses:
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        self.mails.append(
            (envelope.mail_from, envelope.rcpt_tos, message_from_bytes(envelope.content, policy=policy.default))
        )
        return "250 OK"

    def authenticate(self, server, session, envelope, mechanism, data):
        self.logins.append((data.login, data.password))
        return AuthResult(success=data.password == b"sesame", handled=False)


class AnyPort(Controller):
    """A server at a port that the system chose, where it is told 0."""

    def _trigger_server(self):
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@contextmanager
def smtp_server(port=0, **options):
    box = Postbox()
    options |= {"authenticator": box.authenticate, "server_hostname": "postbox"}  # not to be looked up
    controller = AnyPort(box, hostname="127.0.0.1", port=port, **options)
    controller.start()
    box.port = controller.port
    try:
        yield box
    finally:
        controller.stop()


class WebServer(ThreadingHTTPServer):
    """One that does not look its name up."""

    server_bind = TCPServer.server_bind


@contextmanager
def web_server(status=200):
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked.append((self.path, dict(self.headers), json.loads(body)))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments):
            pass

    with WebServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", asked
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def message(time):
    facts = {
        "run": "a-run",
        "reason": "the camera is silent: größer als 5 µm",
        "accuracy": {"before": 92.5, "after": 98.0},
    }
    return Message("failed", "mono", time.now, facts)


def email(box, **changes):
    told = {"to": ["ann@example.org", "bob@example.org"], "from": "bench@example.org", "host": "127.0.0.1"}
    return Email.model_validate({**told, "port": box.port, "security": "none", **changes})


def test_a_mail_says_what_happened_to_everybody(message):
    with smtp_server() as box:
        send_mail(email(box), message)
    ((sender, receivers, mail),) = box.mails
    assert (sender, receivers) == ("bench@example.org", ["ann@example.org", "bob@example.org"])
    assert mail["Subject"] == "labonn: bench mono: RECALIBRATION FAILED"
    assert "reason: the camera is silent: größer als 5 µm" in mail.get_content()
    assert mail["Date"].datetime == message.written


def test_a_password_comes_from_the_environment(message, monkeypatch):
    with smtp_server(auth_require_tls=False) as box:
        account = email(box, user="ann", password_env="LABONN_TEST_PASSWORD")
        with pytest.raises(LabonnError, match="in no environment variable LABONN_TEST_PASSWORD"):
            send_mail(account, message)
        monkeypatch.setenv("LABONN_TEST_PASSWORD", "guess")
        with pytest.raises(LabonnError, match="not sent: SMTPAuthenticationError"):
            send_mail(account, message)
        assert box.mails == []
        monkeypatch.setenv("LABONN_TEST_PASSWORD", "sesame")
        send_mail(account, message)
    assert len(box.mails) == 1
    assert box.logins[-1] == (b"ann", b"sesame")


def test_nothing_is_sent_in_clear_where_it_is_to_be_encrypted(message):
    with smtp_server() as box:
        with pytest.raises(LabonnError, match="not sent"):
            send_mail(email(box, security="starttls"), message)
        with pytest.raises(LabonnError, match="not sent"):
            send_mail(email(box, security="tls"), message)
    assert box.mails == []


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A server's certificate, which nobody trusts who is not told to."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not here")
    folder = tmp_path_factory.mktemp("certificate")
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1"]
    files = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run([*words, *files], cwd=folder, check=True, capture_output=True)
    return folder


def test_a_mail_is_encrypted_for_a_server_that_is_trusted_and_for_no_other(message, certificate, monkeypatch):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    monkeypatch.setenv("LABONN_TEST_PASSWORD", "sesame")
    with smtp_server(tls_context=context, require_starttls=True) as box:
        account = email(box, security="starttls", user="ann", password_env="LABONN_TEST_PASSWORD")
        with pytest.raises(LabonnError, match="not sent: SSLCertVerificationError"):
            send_mail(account, message)
        assert box.logins == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "cert.pem"))
        send_mail(account, message)
    assert box.logins == [(b"ann", b"sesame")]
    assert len(box.mails) == 1


def test_a_receiver_who_is_refused_is_named_and_the_others_get_it(message):
    with smtp_server() as box:
        box.refuses = ("bob@example.org",)
        with pytest.raises(LabonnError, match=r"refused for bob@example\.org, sent to the others"):
            send_mail(email(box), message)
    assert box.mails[0][1] == ["ann@example.org"]


def test_a_webhook_gets_one_object(message, monkeypatch):
    monkeypatch.setenv("LABONN_TEST_TOKEN", "sesame")
    with web_server() as (url, asked):
        post(Webhook(url=f"{url}/hook?x=1", token_env="LABONN_TEST_TOKEN"), message)
    ((path, headers, content),) = asked
    assert path == "/hook?x=1"
    assert headers["Authorization"] == "Bearer sesame"
    assert headers["Content-Type"].startswith("application/json")
    assert content["schema"] == 1
    assert (content["event"], content["bench"]) == ("failed", "mono")
    assert content["accuracy"] == {"before": 92.5, "after": 98.0}


def test_a_webhook_that_answers_no_success_is_said_without_its_secrets(message):
    with web_server(503) as (url, _), pytest.raises(LabonnError, match="answered 503") as failure:
        post(Webhook(url=f"{url}/hook?secret=sesame"), message)
    assert "sesame" not in str(failure.value)
    with pytest.raises(LabonnError, match="cannot be reached"):
        post(Webhook(url=url), message)


def test_whom_it_does_not_reach_is_told_at_a_later_look_and_the_others_once(message, lab, time, caplog):
    with smtp_server() as box:
        port = box.port
    with web_server() as (url, asked):
        schedule = Schedule(
            interval_h=1,
            tell={"email": email(box).model_dump(by_alias=True), "webhooks": [{"url": url}]},
        )
        tell(schedule, lab, message)  # nobody answers at the mail's port
        assert len(asked) == 1
        assert "not sent" in caplog.text
        with smtp_server(port=port) as box:
            assert tell_again(schedule, lab, "mono", time.now) == 0
            assert tell_again(schedule, lab, "mono", time.now) == 0
        assert len(box.mails) == 1
        assert len(asked) == 1
    log = (lab / "jobs" / "mono" / "log.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["event"] for line in log] == ["failed"]


def test_what_is_days_old_is_not_sent_any_more(message, lab, time):
    with web_server(500) as (url, asked):
        schedule = Schedule(interval_h=1, tell={"webhooks": [{"url": url}]})
        tell(schedule, lab, message)
        time.pass_min(60 * 24 * 3)
        assert tell_again(schedule, lab, "mono", time.now) == 0
        assert len(asked) == 1
        assert list((lab / "jobs" / "mono" / "unsent").iterdir()) == []


def test_the_one_shot_tells_what_is_to_be_told(write_bench, lab, time, recalibrations):
    with web_server() as (url, asked):
        bench = write_bench(f'\n[schedule]\ncron = "0 3 * * *"\ntell.webhooks = [{{ url = "{url}" }}]\n')
        recalibrations.endings = ["failed", "done", "refused"]
        for _ in range(3 * 24):
            recalibrate_if_due(bench, lab, clock=time, recalibrate=recalibrations)
            time.pass_min(60)
    told = [content for _, _, content in asked]
    assert [content["event"] for content in told] == ["failed", "refused"]
    assert told[0]["reason"] == "it is failed"
    assert told[0]["next"].startswith("next: attempt 2 of 3")
    assert told[1]["accuracy"] == {"before": 92.5, "after": 98.5}
