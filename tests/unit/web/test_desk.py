"""Who may do what: everybody who is logged in may make a bench dark, only operators may do more; all of it is noted."""

import asyncio
import json

import pytest

from labonn.web.app import make_desk
from labonn.web.darkening import Dark
from labonn.web.desk import NotAllowed
from labonn.web.users import Access, Person
from tests.bench.conftest import BENCHES

ANNA, VERA = Person("anna", "operator"), Person("vera", "viewer")


@pytest.fixture(scope="module")
def access():
    return Access()  # hashes a password


@pytest.fixture
def desk(tmp_path, access, monkeypatch):
    async def darken(bench, file, by):
        return Dark(True, f"the run, told by {by}", 0.01)

    monkeypatch.setattr("labonn.web.desk.darken", darken)
    return make_desk(tmp_path / "lab", [BENCHES / "mono.bench.toml"], access)


def noted(desk):
    lines = desk.actions.path.read_text(encoding="utf-8").splitlines()
    return [(one["who"], one["action"]) for one in map(json.loads, lines)]


@pytest.mark.parametrize("person", [ANNA, VERA])
def test_everybody_may_make_it_dark_and_is_named(desk, person):
    session = desk.sessions.begin(person)
    assert asyncio.run(desk.dark(session, "mono")).by == f"the run, told by {person.name} (on the page)"
    assert noted(desk) == [(person.name, "dark"), (person.name, "dark done")]


@pytest.mark.parametrize("operation", ["pause", "resume", "abort"])
def test_a_viewer_steers_no_run(desk, operation):
    with pytest.raises(NotAllowed, match="vera may look, and not touch"):
        asyncio.run(desk.control(desk.sessions.begin(VERA), "mono", operation))
    assert noted(desk) == [("vera", f"refused: {operation}")]


def test_a_viewer_rolls_nothing_back_and_replays_nothing(desk):
    session = desk.sessions.begin(VERA)
    for act in (lambda: desk.roll_back(session, "mono", force=False), lambda: desk.replay(session, "run", "all")):
        with pytest.raises(NotAllowed):
            act()
    assert desk.launcher.launches == []


def test_whose_session_has_ended_must_log_in_again(desk):
    session = desk.sessions.begin(ANNA)
    desk.sessions.end(session)
    with pytest.raises(NotAllowed, match="log in again"):
        asyncio.run(desk.dark(session, "mono"))
