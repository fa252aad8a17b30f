"""The page, in a real browser, before a real ``labonn serve`` and the simulated bench. In order: one day's work."""

import json
import re
import time
from urllib.parse import urlsplit

import pytest

from tests.waiting import until

from .server import CHROMIUM, INSTALL, served
from .visiting import PASSWORD, log_in, make_dark, new_page, origin, record, start

playwright = pytest.importorskip("playwright.sync_api", reason="pip install -e '.[dev]'")
pytest.importorskip("nicegui", reason="pip install 'labonn[web]'")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason=f"needs Chromium: {INSTALL}"),
]

PHONE = {"width": 390, "height": 844}
MANY = "1000"  # captures: the run must not end while it is looked at
VIEWS = ("/", "/live", "/run", "/runs", "/releases", "/drift", "/design")


# Who may what.


def test_a_wrong_password_is_said_to_be_none(browser, server):
    context = browser.new_context()
    page = log_in(context.new_page(), server, "anna", "wrong password")
    assert page.get_by_role("alert").inner_text() == "No such name, or not its password."
    assert urlsplit(page.url).path == "/login"
    assert context.request.get(f"{server.address}api/benches").status == 401
    context.close()


def test_a_viewer_sees_everything_and_moves_nothing(visitor, server, lab):
    page = visitor("vera")
    page.get_by_text("vera, viewer").wait_for()
    page.goto(f"{origin(page)}/run?protocol=check_bench")
    page.get_by_text("You may look, and not start anything.").wait_for()
    assert page.get_by_role("button", name="Start").count() == 0
    for operation in ("pause", "resume", "abort"):
        answer = page.request.post(f"{server.address}api/benches/{lab.name}/control/{operation}")
        assert (answer.status, "may look, and not touch" in answer.text()) == (403, True)
    asked = {"protocol": "check_bench", "bench": lab.name}
    assert page.request.post(f"{server.address}api/runs", data=asked).status == 403
    tried = [json.loads(line) for line in (lab.lab / "web" / "actions.jsonl").read_text().splitlines()]
    assert [line["action"] for line in tried if line["who"] == "vera"][-1] == "refused: start"
    page.close()


# A recalibration: started, watched, paused, resumed, aborted.


@pytest.fixture(scope="module")
def first_run(visitor):
    page = visitor("anna")
    return page, start(page, "recalibrate", captures=MANY)


def test_a_dry_run_says_what_would_be_done_and_touches_nothing(visitor, lab):
    page = visitor("anna", "/run?protocol=recalibrate")
    page.get_by_role("button", name="Dry run").click()
    page.get_by_text("nothing was touched").wait_for()
    assert not list((lab.lab / "runs").glob("*-recalibrate-*"))
    page.close()


def test_a_recalibration_is_seen_as_it_goes_on(first_run, lab):
    page, run = first_run
    page.locator(".state.is-lit").wait_for()
    until(lambda: lab.world.truth()["lit"])  # while it calibrates, the light comes and goes
    page.get_by_text("capturing: fit", exact=False).first.wait_for()
    assert record(lab, run)["operator"] == "anna"
    assert "calibrating" in page.get_by_role("log").inner_text()


def test_pictures_change_while_it_captures(visitor, first_run):
    page = visitor("vera", "/live")
    number = page.locator("text=/frame \\d+/").first
    number.wait_for()
    before = number.inner_text()
    picture = page.get_by_alt_text("The camera's newest picture")
    seen = picture.screenshot()
    until(lambda: number.inner_text() != before and picture.screenshot() != seen)
    assert picture.evaluate("one => [one.naturalWidth, one.naturalHeight]") == [270, 270]
    assert page.locator(".camera polygon").count() == 4
    page.close()


def test_a_paused_run_is_dark_and_goes_on_where_it_was(first_run, lab):
    page, run = first_run
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="Resume").wait_for()
    page.locator(".state.is-dark").wait_for()
    assert not lab.world.truth()["lit"]
    page.get_by_role("button", name="Resume").click()
    page.locator(".state.is-lit").wait_for()
    assert record(lab, run)["status"] == "running"


def test_a_run_that_is_aborted_says_by_whom(first_run, lab):
    page, run = first_run
    page.get_by_role("button", name="Abort", exact=True).click()
    page.get_by_text("told to abort by anna", exact=False).first.wait_for()
    until(lambda: record(lab, run)["status"] == "aborted")
    assert not lab.world.truth()["lit"]
    page.close()


# Two operators, the end of the server, and the dark button: one run, of the laboratory's own protocol, which
# would go on for ever.


@pytest.fixture(scope="module")
def looking(visitor):
    page = visitor("anna")
    return page, start(page, "linger")


def test_a_second_operator_is_told_who_has_the_bench(visitor, looking, lab):
    page = visitor("otto")
    second = start(page, "check_bench")
    page.get_by_text("is in use by process", exact=False).first.wait_for()
    until(lambda: record(lab, second)["status"] != "running")
    assert record(lab, second)["exit_code"] == 5
    assert record(lab, looking[1])["status"] == "running", "and the first is not harmed"
    page.close()


@pytest.fixture(scope="module")
def after_the_server(lab, users, server, looking):
    """End the server while the run goes on, and serve the page again at the same place."""
    page, run = looking
    page.locator(".state.is-lit").wait_for()
    server.process.terminate()
    server.process.wait(60)
    page.locator("body.offline").wait_for()
    was = record(lab, run)["status"]
    with served(lab.lab, "--users", str(users), "--bench", str(lab.bench), "--port", str(server.port)) as again:
        yield again, page, run, was


def test_the_run_goes_on_without_the_server_and_is_found_again(after_the_server, lab):
    _, page, run, was = after_the_server
    assert was == "running"
    page.wait_for_url(re.compile("/login"))  # sessions are in the server's memory; the page came back by itself
    page.get_by_label("Name").fill("anna")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"**/runs/{run}*")  # where anna was
    page.locator(".state.is-lit").wait_for()
    assert record(lab, run)["status"] == "running"


@pytest.fixture(scope="module")
def vera(browser, after_the_server, complaints):
    """Give the page of a viewer, at the server that is there now."""
    server = after_the_server[0]
    context = browser.new_context()
    page = log_in(new_page(context, server, complaints), server, "vera")
    page.get_by_text("vera, viewer").wait_for()
    yield page
    context.close()


def test_the_dark_button_of_whoever_looks_makes_the_world_dark_at_once_and_ends_the_run(after_the_server, vera, lab):
    _, page, run, _ = after_the_server
    until(lambda: lab.world.truth()["lit"])
    pressed_s = time.time()
    make_dark(vera).click()
    vera.locator("#dark-said.good").wait_for()
    truth = lab.world.truth()
    assert not truth["lit"]
    assert truth["dark_since_unix_s"] > pressed_s
    page.get_by_text("told to make the bench dark by vera", exact=False).first.wait_for()
    until(lambda: record(lab, run)["status"] == "aborted")
    noted = [json.loads(line) for line in (lab.lab / "web" / "actions.jsonl").read_text().splitlines()]
    assert [one["action"] for one in noted if one["who"] == "vera"][-2:] == ["dark", "dark done"]


# What is left of the day.


@pytest.fixture
def anna(after_the_server):
    """Give anna's page, at the server that is there now."""
    return after_the_server[1]


def test_a_release_is_rolled_back_after_saying_what_will_happen(anna, lab):
    second = lab.release_again()
    first = sorted(path.name for path in (lab.lab / "releases").iterdir() if path.name[0] == "2")[-2]
    anna.goto(f"{origin(anna)}/releases")
    anna.get_by_role("button", name="Roll back").click()
    dialog = anna.get_by_role("dialog")
    dialog.get_by_text(f"goes back from {second} to {first}", exact=False).wait_for()
    dialog.get_by_role("button", name="Roll back").click()
    anna.wait_for_url("**/runs/2*")
    anna.locator(".badge.good", has_text="done").wait_for()
    assert (lab.lab / "releases" / "current" / lab.name).read_text().strip() == first


def test_a_camera_that_disconnects_while_live_ends_the_run_and_not_the_page(anna, lab):
    anna.goto(f"{origin(anna)}/live")
    anna.get_by_role("button", name="Look").click()
    anna.locator("text=/frame \\d+/").first.wait_for()
    with lab.world.changed(camera__delivers=False):
        anna.get_by_text("Nothing runs, so the camera takes no pictures.").wait_for()
    run = sorted(path.name for path in (lab.lab / "runs").glob("*-look-*"))[-1]
    until(lambda: record(lab, run)["status"] != "running")
    assert record(lab, run)["status"] == "failed"
    assert "camera" in record(lab, run)["reason"]
    assert not lab.world.truth()["lit"]


def test_a_form_that_is_older_than_its_bench_file_is_refused(anna, lab):
    anna.goto(f"{origin(anna)}/run?protocol=check_bench")
    anna.get_by_role("button", name="Start").wait_for()
    text = lab.bench.read_text(encoding="utf-8")
    try:
        lab.bench.write_text(text + "\n# edited\n", encoding="utf-8")
        anna.get_by_role("button", name="Start").click()
        anna.get_by_text("was changed since this form was opened", exact=False).wait_for()
    finally:
        lab.bench.write_text(text, encoding="utf-8")


@pytest.mark.parametrize("run", ["20260101T000000Z-no-such", "%2e%2e%2fmodels", "..%5cmodels", "x" * 300])
def test_a_run_that_is_not_there_is_said_to_be_none(anna, run):
    answer = anna.goto(f"{origin(anna)}/runs/{run}")
    assert answer.status in (200, 404)
    if answer.status == 200:
        anna.get_by_text("there is no run", exact=False).wait_for()


def test_ten_megabytes_in_a_field_are_cut(anna):
    anna.goto(f"{origin(anna)}/run?protocol=recalibrate")
    field = anna.get_by_label("methods", exact=True)
    field.wait_for()
    field.evaluate("one => { one.focus(); document.execCommand('insertText', false, 'x'.repeat(10_000_000)) }")
    assert len(field.input_value()) <= 2_000
    anna.get_by_role("button", name="Start").wait_for()


def test_a_socket_that_floods_is_cut_off_and_the_page_stays(anna, after_the_server):
    server = after_the_server[0]
    cookies = {one["name"]: one["value"] for one in anna.context.cookies()}
    websocket = pytest.importorskip("websockets.sync.client")
    address = f"ws://127.0.0.1:{server.port}/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
    headers = {"Cookie": f"labonn_session={cookies['labonn_session']}"}
    exceptions = pytest.importorskip("websockets.exceptions")

    def say(origin, times):
        with websocket.connect(address, origin=origin, additional_headers=headers) as socket:
            for _ in range(times):
                socket.send("40")
            while True:  # what was answered before it was cut off
                socket.recv(timeout=10)

    with pytest.raises(exceptions.ConnectionClosed):
        say(server.address.rstrip("/"), 20_000)
    with pytest.raises((exceptions.ConnectionClosed, exceptions.InvalidStatus)):
        say("http://evil.example", 1)
    assert anna.request.get(f"{server.address}api/health").ok


@pytest.mark.parametrize("path", VIEWS)
def test_every_view_is_accessible_and_on_a_phone_has_the_dark_button_under_the_thumb(anna, path):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    anna.goto(origin(anna) + path)
    anna.locator("main .card, main ul.runs").first.wait_for()
    anna.locator("main p", has_text="\u2026").first.wait_for(state="detached")  # nothing is on its way any more
    anna.keyboard.press("Tab")
    assert "dark now" in anna.evaluate("document.activeElement.getAttribute('aria-label')"), "the first that is reached"
    for theme in ("dark", "light"):
        found = axe.run(anna).response["violations"]
        serious = [
            (one["id"], one["nodes"][0]["html"][:200]) for one in found if one["impact"] in ("serious", "critical")
        ]
        assert serious == [], theme
        anna.locator("[data-theme]").click()
    anna.set_viewport_size(PHONE)
    try:
        box = make_dark(anna).bounding_box()
        assert box["height"] >= 56
        assert box["width"] > 0.9 * PHONE["width"]
        assert 0 < box["y"] < PHONE["height"] - box["height"]
        wide = anna.evaluate("document.documentElement.scrollWidth")
        assert wide <= PHONE["width"], f"{path} scrolls sideways: {wide} px"
        for link in anna.locator("nav a").all():
            assert link.bounding_box()["height"] >= 44
    finally:
        anna.set_viewport_size({"width": 1280, "height": 800})


def test_the_interface_answers_as_it_says(after_the_server, anna):
    schemathesis = pytest.importorskip("schemathesis")
    from hypothesis import HealthCheck, Phase, given, settings

    server = after_the_server[0]
    cookie = next(one["value"] for one in anna.context.cookies() if one["name"] == "labonn_session")
    headers = {"Cookie": f"labonn_session={cookie}"}
    schema = schemathesis.openapi.from_url(f"{server.address}api/openapi.json", headers=headers)
    few = settings(max_examples=5, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    asked = 0
    for result in schema.get_all_operations():
        operation = result.ok()

        @few
        @given(case=operation.as_strategy(schemathesis.GenerationMode.POSITIVE))
        def ask(case):
            case.call_and_validate(headers=headers)

        @few
        @given(case=operation.as_strategy(schemathesis.GenerationMode.NEGATIVE))
        def ask_nonsense(case):
            assert case.call(headers=headers).status_code < 500

        ask()
        if operation.path_parameters or operation.query or operation.body:
            ask_nonsense()
        asked += 1
    assert asked >= 9


def test_an_empty_laboratory_says_what_to_do_first(browser, tmp_path):
    with served(tmp_path / "lab") as server:
        page = browser.new_page()
        page.goto(server.address)
        page.get_by_text("labonn demo --lab", exact=False).wait_for()
        page.get_by_text("NO BENCH", exact=True).wait_for()
        for path in VIEWS[1:]:
            page.goto(server.address.rstrip("/") + path)
            page.locator("h1").wait_for()
            assert page.locator(".nicegui-error-popup:visible").count() == 0
        page.close()


def test_nothing_was_asked_of_others_and_no_script_was_refused(complaints, after_the_server):
    # A page whose server was away tries its old connection again, and other ways.
    of_the_break = ("ERR_CONNECTION_REFUSED", "WebSocket connection", "ERR_INCOMPLETE_CHUNKED", "(Bad Request)")
    refused = ("401", "403", "404")
    assert [one for one in complaints if not any(word in one for word in (*of_the_break, *refused))] == []
