"""A bench file of what was discovered: it can be read as it is, says what to fill in, overwrites nothing."""

from pathlib import Path

import pytest

from labonn.cli.discovered_bench import bench_text, write_bench
from labonn.cli.discovering import ask, bench_name, pick
from labonn.errors import ConfigError
from labonn.instruments import Site, SystemClock, read_bench
from labonn.instruments.discovery import Discovery, Found, Search, discover
from labonn.instruments.opening import instruments_of

CFG = "Property,Core,Initialize,0\nDevice,{0},Demo,{0}\nProperty,Core,Initialize,1\n"


def adapter(name, kind, **to_fill_in):
    table = {"driver": "micromanager", "cfg": "discovered.cfg", "device": name}
    return Found(f"Demo:{name}", (kind,), f"the {name}", table, to_fill_in, {"discovered.cfg": CFG.format(name)})


SCREEN = Found("screen:HDMI-1", ("display", "slm"), "a screen", {"driver": "display", "screen": "\\\\.\\DISPLAY2"})
CAMERA = adapter("Cam", "camera")
SHUTTER = adapter("Shutter", "shutter")
STAGE = adapter("Z", "stage", lowest_um=-100.0, highest_um=100.0)
LASER = Found(
    "visa:ASRL3::INSTR",
    ("light",),
    "OBIS",
    {"driver": "scpi_laser", "model": "coherent-obis", "resource": "ASRL3::INSTR"},
)
SEEN = Discovery((SCREEN, CAMERA, SHUTTER, STAGE, LASER), ())
STAGES = ("stage", "stage_down", "stage_right")
PICKS = ["display=screen:HDMI-1", "camera=Demo:Cam", "shutter=Demo:Shutter"]


def test_what_is_written_can_be_read_and_every_table_is_its_driver_s(tmp_path):
    picked = pick(SEEN, [*PICKS, "light=visa:ASRL3::INSTR", "stage=Demo:Z"])
    file = tmp_path / "my lab.bench.toml"
    written = write_bench(file, bench_text(bench_name(file), picked), picked)
    assert written == [file, tmp_path / "discovered.cfg"]
    bench = read_bench(file)
    assert bench.name == "my-lab"
    assert bench.optic is not None
    assert set(instruments_of(file, bench, Site(tmp_path, SystemClock()))) == {
        "display",
        "camera",
        "shutter",
        "light",
        "stage",
    }
    text = file.read_text(encoding="utf-8")
    assert "\nmax_power_mw" not in text, "a new bench turns no laser on"
    assert text.count("# fill in") >= 6
    assert (tmp_path / "discovered.cfg").read_text(encoding="utf-8").splitlines() == [
        "Property,Core,Initialize,0",
        "Device,Cam,Demo,Cam",
        "Device,Shutter,Demo,Shutter",
        "Device,Z,Demo,Z",
        "Property,Core,Initialize,1",
    ]


@pytest.mark.parametrize(
    ("picks", "said"),
    [
        (PICKS[:2], "--pick shutter=NAME: a bench needs display, camera, shutter"),
        ([*PICKS, "lamp=Demo:Cam"], "there is no role 'lamp'; there are: display, slm"),
        ([*PICKS, "slm=Demo:Cam"], "'Demo:Cam' cannot be the slm; found for it: screen:HDMI-1"),
        ([*PICKS, "meter=nothing"], "'nothing' cannot be the meter; found for it: nothing"),
        ([*PICKS, "slm=screen:HDMI-1"], "one instrument cannot have two roles"),
    ],
)
def test_a_pick_that_cannot_be_is_refused(picks, said):
    with pytest.raises(ConfigError, match=said):
        bench_text("x", pick(SEEN, picks))


@pytest.mark.parametrize("there", ["x.bench.toml", "discovered.cfg"])
def test_nothing_is_overwritten_and_then_nothing_is_written(tmp_path, there):
    (tmp_path / there).write_text("mine")
    picked = pick(SEEN, PICKS)
    with pytest.raises(ConfigError, match=f"{there}: is there already, and is not overwritten; nothing was written"):
        write_bench(tmp_path / "x.bench.toml", bench_text("x", picked), picked)
    assert [path.name for path in tmp_path.iterdir()] == [there]


def test_the_end_of_a_name_is_enough_where_no_other_ends_so():
    table = {"driver": "micromanager", "device": "Camera"}
    both = [Found(f"/lab/{folder}/mm.cfg:Camera", ("camera",), "a camera", table) for folder in ("left", "right")]
    seen = Discovery((*SEEN.found, *both), ())
    for picked in ("left/mm.cfg:Camera", "/lab/left/mm.cfg:Camera"):
        assert pick(seen, [f"camera={picked}"]) == {"camera": both[0]}
    assert pick(seen, ["camera=Cam"])["camera"].name == "Demo:Cam"
    with pytest.raises(ConfigError, match=r"is it /lab/left/mm\.cfg:Camera or /lab/right/mm\.cfg:Camera"):
        pick(seen, ["camera=mm.cfg:Camera"])
    with pytest.raises(ConfigError, match="cannot be the camera"):
        pick(seen, ["camera="])


def test_who_does_not_pick_is_asked_until_the_answer_is_one():
    questions = []
    answers = iter(["", "2", "1", "", "1", "1", "1", "", "", ""])

    def answer(question):
        questions.append(question.split(":")[0])
        return next(answers)

    other = Found("screen:DP-2", ("display", "slm"), "another screen", {"driver": "display", "screen": "DP-2"})
    picked = ask(Discovery((*SEEN.found, other), ()), answer)
    assert questions == ["display", "display", "slm", "camera", "camera", "shutter", "light", *STAGES]
    assert {role: one.name for role, one in picked.items()} == {
        "display": "screen:DP-2",
        "slm": "screen:HDMI-1",
        "camera": "Demo:Cam",
        "shutter": "Demo:Shutter",
        "light": "visa:ASRL3::INSTR",
    }
    with pytest.raises(ConfigError, match="nothing was found that could be the camera, which a bench needs"):
        ask(Discovery((SCREEN,), ()), lambda question: "1")


def test_names_of_files_that_no_bench_can_have():
    for file, said in (("lab.toml", "ends with .bench.toml"), ("_.bench.toml", "letters and digits")):
        with pytest.raises(ConfigError, match=said):
            bench_name(Path(file))


def test_what_cannot_be_looked_at_is_a_note_and_spares_the_rest(tmp_path, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)

    def breaks(search):
        raise RuntimeError("the library fell over")

    monkeypatch.setattr("drivers.line_discovery.discover", breaks)
    seen = discover(Search(tmp_path))
    assert "lines: RuntimeError: the library fell over" in seen.notes
    assert any(note.startswith("screens: ") for note in seen.notes) or not seen.notes[1:]
    assert "DemoCamera:DCam" in {one.name for one in seen.found}
