from pathlib import Path

import pytest

from drivers.micromanager_cfg import CfgDevice, read_devices
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
