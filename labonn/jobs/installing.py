"""What lets this computer call labonn every few minutes: a systemd timer, a cron line, a task of Windows.

Each calls the one-shot, which finds out by itself what is due; so none of them knows the schedule, and a bench file
may be edited without installing anew.
"""

import os
import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Literal
from xml.etree import ElementTree

from labonn.instruments.bench_config import BenchConfig

Kind = Literal["systemd", "cron", "windows"]

_ENVIRONMENT = ("LABONN_DATA",)
_TASK = "http://schemas.microsoft.com/windows/2004/02/mit/task"


@dataclass(frozen=True)
class Call:
    """What is called for one bench."""

    bench: str
    bench_file: PurePath
    lab_dir: PurePath
    watched: bool
    """Whether drift is watched for, too."""
    python: str = sys.executable
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    """Environment variables that hold passwords and tokens, and that are written down nowhere."""

    @property
    def words(self) -> list[str]:
        """The command."""
        bench = str(self.bench_file)
        due = ["jobs", "run-due", bench] if self.watched else ["recalibrate", bench, "--if-due"]
        return [self.python, "-m", "labonn", *due, "--lab", str(self.lab_dir)]


def call_of(config: BenchConfig, bench_file: Path, lab_dir: Path) -> Call:
    """Give what is to be called for a bench, with what this process's environment says of data."""
    tell = None if config.schedule is None else config.schedule.tell
    secrets = [] if tell is None else [webhook.token_env for webhook in tell.webhooks]
    if tell is not None and tell.email is not None:
        secrets.append(tell.email.password_env)
    return Call(
        config.name,
        bench_file.absolute(),
        lab_dir.absolute(),
        config.schedule is not None and config.schedule.drift is not None,
        environment={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
        secrets=tuple(sorted({name for name in secrets if name is not None})),
    )


@dataclass(frozen=True)
class Written:
    """Files, and what to do with them."""

    files: Mapping[str, bytes]
    steps: tuple[str, ...]


def write_out(kind: Kind, call: Call, every_min: int) -> Written:
    """Write what one of the three needs."""
    writers: dict[Kind, Callable[[Call, int], Written]] = {"systemd": _systemd, "cron": _cron, "windows": _windows}
    return writers[kind](call, every_min)


def _systemd(call: Call, every_min: int) -> Written:
    name = f"labonn-{call.bench}"
    secrets = "".join(
        f"# {secret} is needed, too: write {secret}=... into this file, mode 600\n" for secret in call.secrets
    )
    service = (
        f"[Unit]\nDescription=labonn: recalibrate bench {call.bench}, if it is due\n\n"
        "[Service]\nType=oneshot\n"
        + "".join(
            f"Environment={_systemd_word(f'{key}={value}', dollar='$')}\n" for key, value in call.environment.items()
        )
        + secrets
        + f"EnvironmentFile=-%h/.config/labonn-{call.bench}.env\n"
        + f"ExecStart={' '.join(map(_systemd_word, call.words))}\n"
        "# 4: the gate refused, of which labonn tells by itself; 5: the bench is in use.\n"
        "SuccessExitStatus=4 5\nTimeoutStopSec=120\n"
    )
    timer = (
        f"[Unit]\nDescription=labonn: look every {every_min} min whether bench {call.bench} is due\n\n"
        f"[Timer]\nOnCalendar=*:0/{every_min}\nPersistent=true\n\n[Install]\nWantedBy=timers.target\n"
    )
    return Written(
        {f"{name}.service": service.encode(), f"{name}.timer": timer.encode()},
        (
            f"copy {name}.service and {name}.timer to ~/.config/systemd/user",
            "systemctl --user daemon-reload",
            f"systemctl --user enable --now {name}.timer",
            "loginctl enable-linger        lets it run while you are not logged in",
            f"journalctl --user -u {name}        shows what was said",
        ),
    )


def _systemd_word(word: str, *, dollar: str = "$$") -> str:
    """Quote a word; a `$` stands for itself in ``Environment=``, and is doubled in ``ExecStart=``."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", dollar)
    return f'"{escaped}"'


def _cron(call: Call, every_min: int) -> Written:
    variables = "".join(f"{key}={shlex.quote(value)} " for key, value in call.environment.items())
    folder, log = (shlex.quote(str(call.lab_dir / name)) for name in ("jobs", "jobs/cron.log"))
    command = f"mkdir -p {folder} && {variables}{shlex.join(call.words)} 2>>{log} >/dev/null"
    lines = [
        f"# labonn: recalibrate bench {call.bench}, if it is due",
        *(f"# needed, too, in a crontab that you alone can read: {name}=..." for name in call.secrets),
        f"*/{every_min} * * * * " + command.replace("%", r"\%"),
    ]
    return Written(
        {f"labonn-{call.bench}.cron": ("\n".join(lines) + "\n").encode()},
        ("crontab -e, and put these lines in", f"{call.lab_dir / 'jobs' / 'cron.log'} shows what went wrong"),
    )


def _windows(call: Call, every_min: int) -> Written:
    name = f"labonn-{call.bench}"
    ElementTree.register_namespace("", _TASK)
    task = ElementTree.Element(f"{{{_TASK}}}Task", version="1.2")

    def put(parent: ElementTree.Element, path: str, text: str | None = None) -> ElementTree.Element:
        for tag in path.split("/"):
            parent = ElementTree.SubElement(parent, f"{{{_TASK}}}{tag}")
        parent.text = text
        return parent

    put(task, "RegistrationInfo/Description", f"labonn: recalibrate bench {call.bench}, if it is due")
    trigger = put(task, "Triggers/TimeTrigger")
    repetition = put(trigger, "Repetition")
    put(repetition, "Interval", f"PT{every_min}M")
    put(repetition, "StopAtDurationEnd", "false")
    put(trigger, "StartBoundary", "2026-01-01T00:00:00")
    put(trigger, "Enabled", "true")
    settings = put(task, "Settings")
    put(settings, "MultipleInstancesPolicy", "IgnoreNew")
    put(settings, "DisallowStartIfOnBatteries", "false")
    put(settings, "StopIfGoingOnBatteries", "false")
    put(settings, "StartWhenAvailable", "true")
    put(settings, "ExecutionTimeLimit", "PT0S")
    action = put(task, "Actions/Exec")
    put(action, "Command", call.words[0])
    put(action, "Arguments", _windows_arguments(call.words[1:]))
    put(action, "WorkingDirectory", str(call.bench_file.parent))
    ElementTree.indent(task)
    text = '<?xml version="1.0" encoding="UTF-16"?>\n' + ElementTree.tostring(task, encoding="unicode") + "\n"
    variables = [f'setx {key} "{value}"' for key, value in call.environment.items()]
    variables += [f"setx {secret} ..." for secret in call.secrets]
    return Written(
        {f"{name}.xml": text.encode("utf-16")},
        (
            *variables,
            f'schtasks /Create /TN "{name}" /XML {name}.xml',
            f'schtasks /Query /TN "{name}" /V        shows it',
        ),
    )


def _windows_arguments(words: list[str]) -> str:
    from subprocess import list2cmdline

    return list2cmdline(words)
