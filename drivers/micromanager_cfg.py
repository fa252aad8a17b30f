"""Reading which devices a Micro-Manager configuration file names, before any of them is loaded."""

from dataclasses import dataclass
from pathlib import Path

from labonn.errors import ConfigError

_PYTHON_PREFIX = "#py "


@dataclass(frozen=True)
class CfgDevice:
    """One `Device` (C++) or `#py pyDevice` (Python) line."""

    line: int
    label: str
    adapter: str
    """The adapter library, or the Python module."""
    name: str
    """The device in that library, or the class in that module."""


def read_devices(cfg: Path) -> tuple[CfgDevice, ...]:
    """Read the device lines of a configuration file.

    Format: https://micro-manager.org/Micro-Manager_Configuration_Guide#configuration-file-syntax

    Raises
    ------
    ConfigError
        If the file cannot be read, a device line is malformed, or it names no device.
    """
    try:
        lines = cfg.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ConfigError(f"{cfg}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{cfg}: is not a Micro-Manager configuration file: it is not text in UTF-8") from error
    devices = []
    for number, line in enumerate(lines, start=1):
        # As in Micro-Manager, spaces count only as part of a field.
        command, *fields = line.strip().removeprefix(_PYTHON_PREFIX).strip().split(",")
        if command in ("Device", "pyDevice"):
            if len(fields) != 3 or not all(fields):
                raise ConfigError(f"{cfg}, line {number}: {line.strip()!r}: expected {command},label,adapter,device")
            devices.append(CfgDevice(number, *fields))
    if not devices:
        raise ConfigError(f"{cfg}: names no device; is it a Micro-Manager configuration file?")
    return tuple(devices)
