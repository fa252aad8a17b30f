"""What lets the computer call labonn: read again by those who are to read it, where they are at hand."""

import shlex
import shutil
import subprocess
from pathlib import PurePosixPath, PureWindowsPath
from xml.etree import ElementTree

import pytest

from labonn.cli.entry import _answer
from labonn.jobs.installing import Call, write_out

BENCH = PurePosixPath("/labs/5 % of $HOME's/mono.bench.toml")
LAB = PurePosixPath("/labs/a lab")
CALL = Call("mono", BENCH, LAB, False, "/opt/py/bin/python", {"LABONN_DATA": "/data/my sets"}, ("MAIL_PASSWORD",))
WORDS = ["-m", "labonn", "recalibrate", str(BENCH), "--if-due", "--lab", str(LAB)]
NAMESPACE = {"t": "http://schemas.microsoft.com/windows/2004/02/mit/task"}


def test_systemd_reads_its_units(tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not here")
    call = Call("mono", BENCH, LAB, False, shutil.which("true"), CALL.environment)
    for name, content in write_out("systemd", call, 5).files.items():
        (tmp_path / name).write_bytes(content)
    for name in ("labonn-mono.service", "labonn-mono.timer"):
        checked = subprocess.run(
            ["systemd-analyze", "verify", "--user", str(tmp_path / name)],
            capture_output=True,
            text=True,
            check=False,
            env={"XDG_RUNTIME_DIR": str(tmp_path), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        )
        complaints = [line for line in checked.stderr.splitlines() if "labonn-mono" in line]
        assert complaints == []


def test_the_service_calls_the_one_shot_and_the_timer_catches_up():
    files = write_out("systemd", CALL, 5).files
    service, timer = files["labonn-mono.service"].decode(), files["labonn-mono.timer"].decode()
    (line,) = [line for line in service.splitlines() if line.startswith("ExecStart=")]
    words = shlex.split(line.removeprefix("ExecStart=").replace("%%", "%").replace("$$", "$"))
    assert words == ["/opt/py/bin/python", *WORDS]
    assert 'Environment="LABONN_DATA=/data/my sets"' in service
    assert "MAIL_PASSWORD" in service
    assert "OnCalendar=*:0/5" in timer
    assert "Persistent=true" in timer


def test_a_shell_reads_the_cron_line(tmp_path):
    lab = tmp_path / "a lab of 5 %"
    echo = tmp_path / "python"
    echo.write_text('#!/bin/sh\nprintf "%s\\n" "$LABONN_DATA" "$@" >&2\n')
    echo.chmod(0o755)
    call = Call("mono", BENCH, lab, False, str(echo), {"LABONN_DATA": "/data/my % sets"})
    line = write_out("cron", call, 10).files["labonn-mono.cron"].decode().splitlines()[-1]
    assert line.startswith("*/10 * * * * ")
    command = line.removeprefix("*/10 * * * * ")
    assert "%" not in command.replace(r"\%", "")  # cron takes a bare one for the end of the line
    subprocess.run(["sh", "-c", command.replace(r"\%", "%")], check=True)
    said = (lab / "jobs" / "cron.log").read_text().splitlines()
    assert said == ["/data/my % sets", *WORDS[:-1], str(lab)]


def test_windows_gets_a_task():
    call = Call(
        "mono", PureWindowsPath(r"C:\my labs\mono.bench.toml"), PureWindowsPath(r"C:\lab"), False, r"C:\py\python.exe"
    )
    written = write_out("windows", call, 15)
    task = ElementTree.fromstring(written.files["labonn-mono.xml"])  # UTF-16, as its first line says
    assert task.findtext(".//t:Exec/t:Command", namespaces=NAMESPACE) == r"C:\py\python.exe"
    arguments = task.findtext(".//t:Exec/t:Arguments", namespaces=NAMESPACE)
    assert arguments == r'-m labonn recalibrate "C:\my labs\mono.bench.toml" --if-due --lab C:\lab'
    assert task.findtext(".//t:Repetition/t:Interval", namespaces=NAMESPACE) == "PT15M"
    assert task.findtext(".//t:StartWhenAvailable", namespaces=NAMESPACE) == "true"
    assert task.findtext(".//t:MultipleInstancesPolicy", namespaces=NAMESPACE) == "IgnoreNew"
    assert any(step.startswith("schtasks /Create") for step in written.steps)


def test_a_bench_that_is_watched_for_drift_is_watched_too():
    call = Call("mono", BENCH, LAB, True, "python")
    assert call.words[3:5] == ["jobs", "run-due"]


def test_the_command_writes_files_or_prints_them(write_bench, tmp_path):
    bench = write_bench("\n[schedule]\ninterval_h = 24\n")
    lab = ["--lab", str(tmp_path / "lab")]
    printed = _answer(["jobs", "install", "systemd", str(bench), *lab])
    assert printed.exit_code == 0
    assert any("--if-due" in text for text in printed.content["files"].values())
    written = _answer(["jobs", "install", "cron", str(bench), "--into", str(tmp_path / "units"), *lab])
    assert [file.name for file in (tmp_path / "units").iterdir()] == [
        f.rpartition("/")[2] for f in written.content["files"]
    ]
    for words, said in (
        (["cron", str(write_bench(""))], "has no [schedule]"),
        (["cron", str(bench), "--every-min", "7"], "does not divide 60"),
        (["launchd", str(bench)], "launchd"),
    ):
        refused = _answer(["jobs", "install", *words, *lab])
        assert refused.exit_code == 2
        assert said in refused.error
