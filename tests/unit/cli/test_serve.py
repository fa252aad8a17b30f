"""``labonn serve`` where it refuses, and ``labonn users``."""

import io

import pytest

from labonn.web.users import fits, read_users


@pytest.fixture(autouse=True)
def no_token(monkeypatch):
    monkeypatch.delenv("LABONN_TOKEN", raising=False)


def test_a_page_for_everybody_is_not_served_without_a_login(answer, tmp_path):
    said = answer("serve", "--host", "0.0.0.0", "--lab", tmp_path)
    assert said["exit_code"] == 2
    assert "labonn users add" in said["error"]
    assert list(tmp_path.iterdir()) == [], "nothing was touched"


def test_a_port_that_is_taken_is_said(answer, tmp_path, monkeypatch):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = answer("serve", "--port", str(taken.getsockname()[1]), "--lab", tmp_path)
    assert said["exit_code"] == 2
    assert "--port 0 takes a free one" in said["error"]


def test_users_are_added_changed_listed_and_removed(answer, tmp_path, monkeypatch):
    file = tmp_path / "users.toml"

    def add(name, password, *more):
        monkeypatch.setattr("sys.stdin", io.StringIO(password + "\n"))
        return answer("users", "add", name, "--users", file, *more)

    assert add("anna", "correct horse", "--role", "operator")["role"] == "operator"
    assert add("vera", "battery staple")["role"] == "viewer", "who is not said to be more can only look"
    assert add("anna", "another horse")["role"] == "viewer"
    assert fits("another horse", read_users(file)[1].password)
    assert [user["name"] for user in answer("users", "list", "--users", file)["users"]] == ["vera", "anna"]
    assert add("kurt", "short")["exit_code"] == 2
    assert add('a"b', "correct horse")["exit_code"] == 2
    assert answer("users", "remove", "anna", "--users", file)["removed"] == "anna"
    assert "has no user 'anna', only vera" in answer("users", "remove", "anna", "--users", file)["error"]
