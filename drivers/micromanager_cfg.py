"""Reading which devices a Micro-Manager configuration file names, before any of them is loaded."""

from collections.abc import Iterator
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


def read_devices(cfg: Path, needed_for: str | None = None) -> tuple[CfgDevice, ...]:
    """Read the device lines of a configuration file.

    Format: https://micro-manager.org/Micro-Manager_Configuration_Guide#configuration-file-syntax

    Parameters
    ----------
    cfg
        The file.
    needed_for
        Where given, only this device, and those that it needs.

    Raises
    ------
    ConfigError
        If the file cannot be read, a device line is malformed, or it names no device.
    """
    lines = _read_lines(cfg)
    devices = _devices(cfg, lines)
    if needed_for is None:
        return devices
    needed = _needed(lines, {device.label for device in devices}, needed_for)
    return tuple(device for device in devices if device.label in needed)


def only_for(cfg: Path, label: str) -> str:
    """Give a configuration file without the lines that the device `label` can do without.

    What is left: its own lines, those of every device that they name (its hub, its serial port, the outputs that it
    is made of), and the order to initialise. Lines that go are left empty, so that those that stay keep their numbers.

    Raises
    ------
    ConfigError
        If the file cannot be read, a device line is malformed, or it names no device.
    """
    lines = _read_lines(cfg)
    needed = _needed(lines, {device.label for device in _devices(cfg, lines)}, label)
    return "\n".join(line if _is_about(line, needed) else "" for line in lines) + "\n"


def _read_lines(cfg: Path) -> list[str]:
    try:
        return cfg.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ConfigError(f"{cfg}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{cfg}: is not a Micro-Manager configuration file: it is not text in UTF-8") from error


def _fields(line: str) -> list[str]:
    # As in Micro-Manager, spaces count only as part of a field.
    return line.strip().removeprefix(_PYTHON_PREFIX).strip().split(",")


def _devices(cfg: Path, lines: list[str]) -> tuple[CfgDevice, ...]:
    devices = []
    for number, line in enumerate(lines, start=1):
        command, *fields = _fields(line)
        if command in ("Device", "pyDevice"):
            if len(fields) != 3 or not all(fields):
                raise ConfigError(f"{cfg}, line {number}: {line.strip()!r}: expected {command},label,adapter,device")
            devices.append(CfgDevice(number, *fields))
    if not devices:
        raise ConfigError(f"{cfg}: names no device; is it a Micro-Manager configuration file?")
    return tuple(devices)


def _needed(lines: list[str], labels: set[str], label: str) -> set[str]:
    needed, found = {label}, True
    while found:
        new = {named for line in lines if _is_about(line, needed) for named in _named_by(line)} & labels - needed
        needed |= new
        found = bool(new)
    return needed


def _is_about(line: str, labels: set[str]) -> bool:
    command, *fields = _fields(line)
    if command == "ConfigGroup":
        # What is set at start-up, as far as it is about these devices.
        return fields[:2] == ["System", "Startup"] and len(fields) > 2 and fields[2] in labels
    if command == "Property" and fields[:2] == ["Core", "Initialize"]:
        return True
    of_a_device = command in ("Device", "pyDevice", "Property", "Parent", "Delay", "Label")
    return of_a_device and bool(fields) and fields[0] in labels


def _named_by(line: str) -> Iterator[str]:
    """Give what may be other devices in a line: the value of a property, the hub of a parent line."""
    command, *fields = _fields(line)
    if command in ("Property", "Parent", "ConfigGroup") and fields:
        yield fields[-1]
