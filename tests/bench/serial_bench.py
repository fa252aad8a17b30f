"""The mono bench with its shutter and its laser on serial lines."""

import re
from pathlib import Path

from .conftest import bench_of

MM_SHUTTER = 'driver = "micromanager"\ncfg = "mono.cfg"\ndevice = "Shutter"\n'
OBIS = 'driver = "scpi_laser"\nmodel = "coherent-obis"\nresource = "TCPIP0::${laser.host}::${laser.port}::SOCKET"\n'


def serial_bench(folder: Path, name: str, *, pty: bool, interlocks: bool = True) -> Path:
    """Shutter and laser on serial lines, each with one second for an answer."""

    def port(door: str) -> str:
        return f'port = "${{{door}.pty}}"\n' if pty else f'port = "socket://${{{door}.host}}:${{{door}.port}}"\n'

    file = bench_of(
        folder,
        name,
        (MM_SHUTTER, f'driver = "serial_shutter"\nmodel = "thorlabs-sc10"\n{port("shutter")}'),
        (OBIS, f'driver = "serial_laser"\nmodel = "cobolt-06-mld"\n{port("serial_laser")}'),
    )
    return file if interlocks else without_interlocks(file)


def without_interlocks(file: Path) -> Path:
    """So that nobody but the test talks to the instruments."""
    content = file.read_text(encoding="utf-8")
    kept = re.sub(r"\[interlocks\].*?(?=\n\[)", "", content, flags=re.DOTALL)
    assert kept != content
    file.write_text(re.sub(r'(model = ".*")', r"\1\nreply_timeout_ms = 300", kept), encoding="utf-8")
    return file
