"""Who is let in: users, tokens, sessions that expire, failures that slow down."""

import os

import pytest

from labonn.errors import ConfigError
from labonn.web.sessions import IDLE_S, LONGEST_S, Sessions, SlowDown
from labonn.web.users import Access, Person, UserEntry, fits, hash_password, read_access, read_users, write_users

PASSWORD = "correct horse"
ANNA = UserEntry(name="anna", role="operator", password=hash_password(PASSWORD))
VERA = UserEntry(name="vera", role="viewer", password=hash_password("battery staple"))
posix = pytest.mark.skipif(os.name != "posix", reason="Windows has other ways to keep a file to oneself")


class Clock:
    now_s = 1_000.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


def test_a_password_is_kept_as_a_hash_with_a_salt_of_its_own():
    assert PASSWORD not in ANNA.password
    assert hash_password(PASSWORD) != ANNA.password
    assert fits(PASSWORD, ANNA.password)
    assert not fits(PASSWORD + " ", ANNA.password)


def test_who_knows_the_password_gets_their_own_role():
    access = Access([ANNA, VERA])
    assert access.let_in("anna", PASSWORD) == Person("anna", "operator")
    assert not access.let_in("vera", "battery staple").may_move
    assert access.let_in("anna", "battery staple") is None
    assert access.let_in("nobody", PASSWORD) is None


def test_a_token_lets_an_operator_in_under_the_name_they_give():
    access = Access(token="t" * 20)
    assert access.let_in("anna", "t" * 20) == Person("anna (by token)", "operator")
    assert access.let_in("anna", "t" * 19) is None
    assert access.let_in(" ", "t" * 20) is None, "what they do stands in the log under a name"


def test_a_file_of_users_is_read_as_it_was_written(tmp_path):
    file = tmp_path / "users.toml"
    write_users(file, [ANNA, VERA])
    assert read_users(file) == (ANNA, VERA)
    if os.name == "posix":
        assert file.stat().st_mode & 0o077 == 0


@posix
def test_secrets_that_others_can_read_are_refused(tmp_path):
    file = tmp_path / "token"
    file.write_text("t" * 30)
    file.chmod(0o644)
    with pytest.raises(ConfigError, match=r"chmod 600 .*token"):
        read_access(None, file)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('schema = 1\n[[users]]\nname = "a"\nrole = "king"\npassword = "x"', "role"),
        ('schema = 1\n[[users]]\nname = "a"\nrole = "viewer"\npassword = "plain"', "labonn users add"),
        ('schema = 1\n[[users]]\nname = "a b"\nrole = "viewer"\npassword = "x"', "name"),
        ('schema = 1\n[[users]]\nname = "a"\nrole = "viewer"\npassword = "scrypt$1073741824$8$1$AA==$AA=="', "hash"),
        ("schema = 1", "has no users"),
    ],
)
def test_a_wrong_file_of_users_is_refused_with_what_is_wrong(tmp_path, text, words):
    file = tmp_path / "users.toml"
    file.write_text(text)
    file.chmod(0o600)
    with pytest.raises(ConfigError, match=words):
        read_access(file, None)


def test_a_short_token_is_refused(monkeypatch):
    monkeypatch.setenv("LABONN_TOKEN", "short")
    with pytest.raises(ConfigError, match="20 characters or more, this one has 5"):
        read_access(None, None)


def test_a_session_ends_after_a_shift_however_busy_it_is(clock):
    sessions = Sessions(clock)
    session = sessions.begin(Person("anna", "operator"))
    for _ in range(int(LONGEST_S / (IDLE_S / 2))):
        assert sessions.find(session.key) is session
        clock.now_s += IDLE_S / 2
    assert sessions.find(session.key) is session
    clock.now_s += 1
    assert sessions.find(session.key) is None
    assert session.ended


def test_a_session_that_nobody_uses_ends_sooner(clock):
    sessions = Sessions(clock)
    session = sessions.begin(Person("anna", "operator"))
    clock.now_s += IDLE_S + 1
    assert not sessions.goes_on(session)


def test_who_logs_out_is_out(clock):
    sessions = Sessions(clock)
    one, other = (sessions.begin(Person(name, "viewer")) for name in ("a", "b"))
    sessions.end(one)
    assert sessions.find(one.key) is None
    assert sessions.find(other.key) is other
    assert sessions.find(None) is None


def test_each_failure_after_the_third_doubles_the_wait_to_five_minutes(clock):
    slow, waits = SlowDown(clock), []
    for _ in range(14):
        waits.append(slow.wait_s("anna at here"))
        clock.now_s += waits[-1]
        slow.failed("anna at here")
    assert waits[:4] == [0, 0, 0, 1]
    assert waits[4:8] == [2, 4, 8, 16]
    assert max(waits) == 300
    assert slow.wait_s("vera at here") == 0
    slow.succeeded("anna at here")
    assert slow.wait_s("anna at here") == 0
