"""What the page is made of, each for itself: bench files, forms, logs, pictures, where it may be served."""

import asyncio
import io
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from labonn.errors import ConfigError, LabonnError
from labonn.instruments.feed import Seen
from labonn.report.mosaic import maps_strip
from labonn.web.cameras import picture_of
from labonn.web.compare_view import differences
from labonn.web.describing import describe
from labonn.web.launching import Launcher
from labonn.web.log_tail import LogTail
from labonn.web.login import _own_path
from labonn.web.place import Place
from labonn.web.protocols import Key, Protocol, Protocols
from labonn.web.serving import Serving, access_for, warnings_of
from labonn.web.users import Person, UserEntry, hash_password, write_users
from tests.bench.conftest import BENCHES

MONO = BENCHES / "mono.bench.toml"


def test_benches_are_found_beside_the_laboratory_and_followed_when_they_are_edited(tmp_path):
    lab, file = tmp_path / "lab", tmp_path / "mine.bench.toml"
    lab.mkdir()
    shutil.copy(MONO, file)
    place = Place(lab)
    assert place.benches()["mono"].config.name == "mono"
    file.write_text(file.read_text(encoding="utf-8").replace("max_power_mw = 20.0", "max_power_mw = 'much'"), "utf-8")
    assert place.benches()["mono"].error is None, "a driver's own keys are checked when it is made"
    file.write_text("schema = 1\nname = ", encoding="utf-8")
    wrong = place.benches()["mono"]
    assert "mine.bench.toml: is not valid TOML" in wrong.error
    assert wrong.config.name == "mono", "it is known still, and can be made dark"
    shutil.copy(MONO, file)
    assert place.benches()["mono"].error is None
    file.unlink()
    assert "there is no such file" in place.benches()["mono"].error


def test_a_form_has_a_field_of_the_right_kind_for_each_parameter():
    keys = {key["key"]: key for key in describe(BENCHES.parents[1] / "protocols" / "check_bench.py")["keys"]}
    assert (keys["delays"]["kind"], keys["delays"]["lowest"], keys["delays"]["highest"]) == ("integer", 8, 200)
    assert (keys["accept_drift"]["kind"], keys["accept_drift"]["begins"]) == ("switch", "false")
    assert (keys["readout_ms"]["kind"], keys["readout_ms"]["begins"]) == ("text", "")
    assert keys["meter_share"]["kind"] == "number"


def test_a_script_that_cannot_be_loaded_says_why(tmp_path):
    script = tmp_path / "broken.py"
    script.write_text("import nothing_like_this")
    assert "broken.py, line 1" in describe(script)["error"]


KEYS = (Key("captures", "int", "8", "", begins="8"), Key("out", "str", "(needed)", ""))
PROTOCOL = Protocol("try_it", BENCHES, own=False, sha256="1", keys=KEYS)


def test_what_differs_from_its_default_is_set():
    assert PROTOCOL.settings({"captures": "8", "out": "x"}) == ["--set", "out=x"]
    assert PROTOCOL.settings({"captures": " 9 ", "out": "x"}) == ["--set", "captures=9", "--set", "out=x"]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"captures": "8", "out": ""}, "out: is needed"),
        ({"out": "x" * 10_000_000}, "has 10000000 characters"),
        ({"out": "a\x00b"}, "cannot be printed"),
        ({"lab": "/etc"}, "has no key 'lab'"),
    ],
)
def test_a_value_that_nobody_types_is_refused(values, words):
    with pytest.raises(ConfigError, match=words):
        PROTOCOL.settings(values)


def test_protocols_come_from_two_folders_alone_and_a_stale_form_is_told_so(tmp_path):
    lab, elsewhere = tmp_path / "lab", tmp_path / "elsewhere.py"
    (lab / "protocols").mkdir(parents=True)
    text = (BENCHES.parents[1] / "protocols" / "new_protocol.py").read_text(encoding="utf-8")
    own = lab / "protocols" / "mine.py"
    own.write_text(text, encoding="utf-8")
    elsewhere.write_text(text, encoding="utf-8")
    (lab / "protocols" / "linked.py").symlink_to(elsewhere)

    async def look():
        protocols = Protocols(Place(lab))
        protocols._files = lambda files=protocols._files: [one for one in files() if one.own]  # others take seconds
        seen = (await protocols.all())["mine"]
        assert "linked" not in await protocols.all()
        own.write_text(text + "\n", encoding="utf-8")
        with pytest.raises(ConfigError, match="was changed since this form was opened"):
            await protocols.current("mine", seen.sha256)
        with pytest.raises(ConfigError, match="there is no protocol 'linked'"):
            await protocols.current("linked", "")
        return seen

    seen = asyncio.run(look())
    assert [key.key for key in seen.keys] == ["frames", "brightness"]
    assert seen.word == str(own)


def test_a_log_is_read_on_from_where_it_stopped(tmp_path):
    tail, log = LogTail(tmp_path), tmp_path / "log.jsonl"
    assert tail.more() == []
    line = {"utc": "2026-11-26T12:34:56+00:00", "level": "error", "message": "no light", "total": 3}
    log.write_text(json.dumps(line) + "\n" + json.dumps({**line, "level": "info"})[:20], encoding="utf-8")
    assert tail.more() == ["12:34:56  \u2717 no light (3)"]
    with log.open("a", encoding="utf-8") as file:
        file.write(json.dumps({**line, "level": "info"})[20:] + "\nno json\n")
    assert tail.more() == ["12:34:56  no light (3)", "no json"]
    assert tail.more() == []


def test_of_a_long_log_its_end_is_read_first(tmp_path):
    line = json.dumps({"utc": "2026-11-26T12:34:56+00:00", "level": "info", "message": "x" * 300})
    (tmp_path / "log.jsonl").write_text((line + "\n") * 5_000, encoding="utf-8")
    read = LogTail(tmp_path).more()
    assert 100 < len(read) < 1_000
    assert all(one.startswith("12:34:56") for one in read)


def test_a_picture_says_how_much_of_it_is_saturated():
    pixels = np.zeros((20, 30), np.uint16)
    pixels[:2] = 4095
    pixels[2, 0] = 1024
    picture = picture_of(Seen(7, 0.0, 20.0, 4095, pixels))
    shown = np.asarray(Image.open(io.BytesIO(picture.jpeg)))
    assert (shown.shape, picture.saturated_px, picture.highest) == ((20, 30), 60, 4095)
    assert picture.counts.sum() == 600
    assert (picture.counts[0], picture.counts[16], picture.counts[-1]) == (539, 1, 60)
    assert shown[0].mean() > 240 > 20 > shown[10:].mean()


def test_maps_in_a_row_are_white_at_zero_and_of_one_colour_a_sign():
    maps = np.zeros((2, 3, 4), np.float32)
    maps[0], maps[1, 0] = 2.0, -1.0
    strip = maps_strip(maps, np.array([2.0, 1.0], np.float32))
    assert strip.shape == (3, 9, 3)
    assert (strip[:, :4] == [213, 94, 0]).all()
    assert (strip[0, 5:] == [0, 114, 178]).all()
    assert (strip[1:, 5:] == 255).all()


def test_two_runs_differ_where_they_do():
    assert differences({"a": 1, "b": {"c": 2.0}}, {"a": 1, "b": {"c": 2.5}, "d": "x"}) == [
        [" b.c", "2", "2.5", "+0.5"],
        [" d", "\u2013", "x", ""],
    ]


@pytest.mark.parametrize(
    ("target", "goes_to"),
    [
        ("/runs?a=1", "/runs?a=1"), ("//evil.example", "/"), ("https://evil.example", "/"), ("/\\evil.example", "/"),
        ("", "/"), ("/a\nb", "/"), ("javascript:alert(1)", "/"),
    ],
)  # fmt: skip
def test_nobody_is_sent_elsewhere_by_logging_in(target, goes_to):
    assert _own_path(target) == goes_to


def test_a_page_for_other_computers_needs_a_login_and_warns_without_tls(tmp_path, monkeypatch):
    monkeypatch.delenv("LABONN_TOKEN", raising=False)
    assert access_for(Serving(tmp_path)).local is not None
    for host in ("0.0.0.0", "192.168.1.5", "::", "lab-pc"):
        with pytest.raises(ConfigError, match="labonn users add"):
            access_for(Serving(tmp_path, host=host))
    users = tmp_path / "users.toml"
    write_users(users, [UserEntry(name="anna", role="viewer", password=hash_password("correct horse"))])
    open_to_all = Serving(tmp_path, host="0.0.0.0", users=users)
    assert access_for(open_to_all).local is None
    assert "without TLS" in warnings_of(open_to_all)[0]
    assert access_for(Serving(tmp_path, users=users)).local is None, "on loopback, too, where users are named"
    pem = tmp_path / "both.pem"
    pem.write_text("")
    assert warnings_of(Serving(tmp_path, host="0.0.0.0", users=users, certificate=pem, key=pem)) == []
    with pytest.raises(ConfigError, match="give both"):
        access_for(Serving(tmp_path, certificate=pem))


def test_a_command_is_started_in_the_name_of_who_pressed_the_button(tmp_path, monkeypatch):
    monkeypatch.setenv("LABONN_TOKEN", "t" * 20)
    launcher = Launcher(Place(tmp_path / "lab"))
    asked = []

    class Process:
        pid = 1

        def poll(self):
            return None

    def popen(command, **options):
        asked.append((command, options["env"]))
        return Process()

    monkeypatch.setattr("labonn.web.launching.subprocess.Popen", popen)
    launcher.start("try", ["run", "try_it", "b.toml"], Person("anna", "operator"))
    ((command, environment),) = asked
    assert command[1:6] == ["-m", "labonn", "run", "try_it", "b.toml"]
    assert environment["LABONN_OPERATOR"] == "anna"
    assert "LABONN_TOKEN" not in environment
    for _ in range(3):
        launcher.start("try", ["runs", "list"], Person("anna", "operator"))
    with pytest.raises(LabonnError, match="4 commands that were started from this page go on"):
        launcher.start("try", ["runs", "list"], Person("anna", "operator"))
