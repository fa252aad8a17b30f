from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.micromanager_cfg import CfgDevice, only_for, read_devices
from labonn.errors import ConfigError


def write(folder: Path, content: bytes) -> Path:
    path = folder / "trial.cfg"
    path.write_bytes(content)
    return path


def test_finds_devices_of_both_languages_and_nothing_else(tmp_path: Path) -> None:
    cfg = write(
        tmp_path,
        b"# Device,Old,DemoCamera,DCam\r\n\r\nProperty,Core,Initialize,0\r\nDevice,Camera,DemoCamera,DCam\r\n"
        b"#py pyDevice,SLM,sim.micromanager,SLM\r\n#py Property,Core,SLM,SLM\r\n",
    )
    assert read_devices(cfg) == (
        CfgDevice(4, "Camera", "DemoCamera", "DCam"),
        CfgDevice(5, "SLM", "sim.micromanager", "SLM"),
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"Device,Camera,DemoCamera\n", "line 1: 'Device,Camera,DemoCamera': expected Device,label,adapter,device"),
        (b"Device,Camera,,DCam\n", "line 1"),
        (b"Property,Core,Initialize,1\n", "names no device"),
        (b"\xff\xfe\x00", "not text in UTF-8"),
        (None, "cannot be read"),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, content: bytes | None, said: str) -> None:
    cfg = tmp_path / "trial.cfg" if content is None else write(tmp_path, content)
    with pytest.raises(ConfigError, match=said):
        read_devices(cfg)


BENCH = """\
# a bench
Property,Core,Initialize,0
Device,COM3,SerialManager,COM3
Device,COM4,SerialManager,COM4
Device,Hub,Arduino,Arduino-Hub
Device,Switch,Arduino,Arduino-Switch
Device,Gate,Utilities,State Device Shutter
Device,Camera,PVCAM,Camera-1
#py pyDevice,SLM,makers.panels,Panel
Property,COM3,BaudRate,57600
Property,Hub,Port,COM3
Property,SLM,Port,COM4
Parent,Switch,Hub
Property,Core,Initialize,1
Property,Gate,State Device,Switch
Property,Camera,Gain,2
Property,Core,Camera,Camera
ConfigGroup,System,Startup,Camera,Binning,1
ConfigGroup,System,Startup,Gate,State,0
ConfigGroup,Channel,Red,Gate,State,1
"""


def test_a_device_keeps_what_it_hangs_on_and_nothing_else(tmp_path: Path) -> None:
    cfg = write(tmp_path, BENCH.encode())
    assert [device.label for device in read_devices(cfg, "Gate")] == ["COM3", "Hub", "Switch", "Gate"]
    left = only_for(cfg, "Gate").splitlines()
    assert [line for line in left if line] == [
        "Property,Core,Initialize,0",
        "Device,COM3,SerialManager,COM3",
        "Device,Hub,Arduino,Arduino-Hub",
        "Device,Switch,Arduino,Arduino-Switch",
        "Device,Gate,Utilities,State Device Shutter",
        "Property,COM3,BaudRate,57600",
        "Property,Hub,Port,COM3",
        "Parent,Switch,Hub",
        "Property,Core,Initialize,1",
        "Property,Gate,State Device,Switch",
        "ConfigGroup,System,Startup,Gate,State,0",
    ]
    kept = [(number, line) for number, line in enumerate(left) if line]
    assert all(BENCH.splitlines()[number] == line for number, line in kept), "lines keep their numbers"


LABELS = st.sampled_from(["A", "B", "C", "D"])
LINES = st.one_of(
    st.tuples(st.just("Device"), LABELS, st.just("Library"), st.just("Thing")),
    st.tuples(st.just("Property"), LABELS, st.just("Port"), st.one_of(LABELS, st.just("9600"))),
    st.tuples(st.just("Parent"), LABELS, LABELS),
    st.tuples(st.just("Label"), LABELS, st.just("0"), st.just("red")),
).map(",".join)


@given(st.lists(LINES, max_size=12))
def test_what_is_left_names_no_device_that_is_not_left(tmp_path_factory: pytest.TempPathFactory, lines: list) -> None:
    cfg = tmp_path_factory.mktemp("cfg") / "any.cfg"
    cfg.write_text("\n".join([*(f"Device,{label},Library,Thing" for label in "ABCD"), *lines]), encoding="utf-8")
    left = [line.split(",") for line in only_for(cfg, "A").splitlines() if line]
    devices = {line[1] for line in left if line[0] == "Device"}
    assert "A" in devices
    for command, label, *rest in left:
        assert label in devices
        if command in ("Property", "Parent"):
            assert rest[-1] not in set("ABCD") - devices
