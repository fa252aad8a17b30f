"""The command line: one JSON object for programs, messages for people, exit codes as promised."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from labonn.cli import main
from labonn.errors import BenchInUse
from labonn.records import read_run

BENCH = Path(__file__).parents[3] / "sim" / "benches" / "mono.bench.toml"
SCRIPT = '''"""Say hello."""
import sys
import time
from pydantic import BaseModel, Field
from labonn.errors import InstrumentError
from labonn.protocol import Lab, Result

class Parameters(BaseModel):
    how: str = Field("done", description="how to end")

def run(lab: Lab, parameters: Parameters) -> Result:
    print("printed by the script")
    if parameters.how == "fail":
        raise InstrumentError("the camera did not answer for 500 ms")
    if parameters.how == "refuse":
        return Result(status="refused", reason="no better", released=False, release=None)
    if parameters.how == "wait":
        with lab.step("waiting") as step:
            print("waiting", file=sys.stderr, flush=True)
            for _ in range(600):
                time.sleep(0.05)
                step.advance()
    return Result(greeting="hello", accuracy={"after": 97.5})
'''


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "hello.py"
    path.write_text(SCRIPT)
    return path


@pytest.fixture
def labonn(tmp_path, script):
    """Run labonn as a process of its own, in an empty folder."""

    def run(*arguments, **environment):
        command = [sys.executable, "-m", "labonn", *map(str, arguments)]
        env = {key: value for key, value in os.environ.items() if key != "LABONN_LAB"} | environment
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False)

    return run


def only_object(done):
    lines = done.stdout.splitlines()
    assert len(lines) == 1, done.stdout + done.stderr
    answer = json.loads(lines[0])
    assert (answer["ok"], answer["exit_code"]) == (done.returncode == 0, done.returncode)
    assert (answer["error"] is None) == answer["ok"]
    assert "Traceback" not in done.stderr
    return answer


def test_a_run_for_programs_is_one_object(labonn, script, tmp_path):
    done = labonn("run", script, BENCH, "--json")
    answer = only_object(done)
    assert done.returncode == 0
    assert (answer["greeting"], answer["accuracy"], answer["status"]) == ("hello", {"after": 97.5}, "done")
    assert answer["seconds"]["total"] > 0
    assert Path(answer["report"]).is_file()
    assert read_run(tmp_path / "lab" / "runs" / answer["run"]).status == "done"
    assert "printed by the script" in done.stderr


def test_a_run_for_people_ends_with_its_report(labonn, script):
    done = labonn("run", script, BENCH)
    last = done.stdout.splitlines()[-1]
    assert last.startswith("report: ")
    assert Path(last.removeprefix("report: ")).is_file()
    assert "97.5" in done.stdout


@pytest.mark.parametrize(
    ("how", "exit_code", "error"), [("fail", 3, "the camera did not answer for 500 ms"), ("refuse", 4, "no better")]
)
def test_a_run_that_fails_answers_all_the_same(labonn, script, how, exit_code, error):
    done = labonn("run", script, BENCH, "--set", f"how={how}", "--json")
    answer = only_object(done)
    assert (done.returncode, answer["error"]) == (exit_code, error)
    assert Path(answer["report"]).is_file()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM that a process could handle")
@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
def test_a_signal_ends_a_run_as_aborted(tmp_path, script, number):
    command = [sys.executable, "-m", "labonn", "run", str(script), str(BENCH), "--set", "how=wait", "--json"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stderr is not None
        while "waiting" not in process.stderr.readline().removeprefix("waiting ..."):
            pass
        begin_s = time.monotonic()
        process.send_signal(signal.Signals[number])
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    answer = json.loads(out)
    assert number in answer["error"]
    assert (answer["status"], answer["ok"]) == ("aborted", False)
    assert read_run(tmp_path / "lab" / "runs" / answer["run"]).reason == answer["error"]
    assert "Traceback" not in err
    assert time.monotonic() - begin_s < 20


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["rn"], "No such command"),
        (["run"], "Missing argument"),
        (["run", "hello.py", "b.toml", "--sed", "1"], "No such option"),
        (["run", "nothing", str(BENCH)], "no protocol 'nothing'"),
        (["run", "hello.py", str(BENCH), "--set", "how"], "expected key=value"),
        (["run", "hello.py", str(BENCH), "--set", "hw=1"], "did you mean 'how'"),
        (["run", "hello.py", "missing.bench.toml"], "missing.bench.toml"),
        (["run", "hello.py", "missing.bench.toml", "--dry-run"], "missing.bench.toml"),
        (["run", "hello.py", str(BENCH), "--continue", "abcd", "--fresh"], "--continue abcd and --fresh: give one"),
        (["demo", "--task", "cats"], "cats"),
        (["bench", "dark", "missing.bench.toml"], "missing.bench.toml"),
        (["bench", "check", "missing.bench.toml"], "missing.bench.toml"),
        (["bench", "check", str(BENCH), "--set", "delay=3"], "did you mean 'delays'"),
        (["control", "status", "missing.bench.toml"], "missing.bench.toml"),
        (["control", "stop", str(BENCH)], "No such command"),
    ],
)
def test_wrong_arguments_and_files_end_with_2_and_say_what(labonn, arguments, error):
    done = labonn(*arguments, "--json")
    assert done.returncode == 2
    assert error in only_object(done)["error"]


def test_wrong_arguments_are_told_to_people_without_a_traceback(labonn):
    done = labonn("run", "nothing", BENCH)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("there is no protocol 'nothing'")
    assert "Traceback" not in done.stderr


def test_a_dry_run_touches_nothing(labonn, tmp_path):
    done = labonn("run", "hello.py", BENCH, "--dry-run", "--set", "how=fail", "--json")
    answer = only_object(done)
    assert (answer["protocol"], answer["bench"], answer["parameters"]) == ("hello", "mono", {"how": "fail"})
    assert not (tmp_path / "lab").exists()
    assert "how to end" in labonn("run", "hello.py", BENCH, "--dry-run").stdout


def test_a_report_is_made_again_in_the_folder_of_the_environment(labonn, tmp_path):
    run = only_object(labonn("run", "hello.py", BENCH, "--json", LABONN_LAB="here"))["run"]
    report = tmp_path / "here" / "runs" / run / "report.html"
    report.unlink()
    done = labonn("report", run[-4:], "--lab", "here", "--json")
    assert only_object(done) | {"run": run, "report": str(report)} == only_object(done)
    assert report.is_file()
    done = labonn("report", "zzzz", "--lab", "here", "--json")
    assert (done.returncode, "no run 'zzzz'" in only_object(done)["error"]) == (1, True)


def commands_of(capfd, *group):
    assert main([*group, "--help"]) == 0
    lines = capfd.readouterr().out.splitlines()
    return [line.split()[1] for line in lines if line.startswith("\u2502 ") and line[2] not in " -"]


def test_help_is_help_for_every_command(capfd):
    groups = ("bench", "control", "design", "jobs", "releases", "runs", "users")
    commands = [(name,) for name in commands_of(capfd) if name not in groups]
    commands += [(group, name) for group in groups for name in commands_of(capfd, group)]
    assert {("run",), ("init",), ("bench", "dark"), ("control", "abort"), ("design", "check")} <= set(commands)
    for command in commands:
        assert main([*command, "--help"]) == 0
        shown = capfd.readouterr().out
        assert "--lab" in shown
        assert "--json" in shown


def test_help_does_not_import_what_takes_long():
    code = "import sys; from labonn.cli import main; main(['--help']); print(sorted(SLOW & set(sys.modules)))"
    code = code.replace("SLOW", "{'torch', 'matplotlib', 'numpy', 'h5py'}")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_fault_of_labonn_is_an_answer_too(monkeypatch, capfd):
    def fail(*arguments, **options):
        raise RuntimeError("oh no")

    monkeypatch.setattr("labonn.cli.running.run_command", fail)
    assert main(["recalibrate", "b.toml"]) == 1
    assert "fault of labonn" in capfd.readouterr().err


def test_a_bench_in_use_ends_with_5(monkeypatch, capfd):
    def fail(*arguments, **options):
        raise BenchInUse("bench 'mono' is held by process 12 since 10:00")

    monkeypatch.setattr("labonn.cli.running.run_command", fail)
    assert main(["recalibrate", "b.toml"]) == 5
    assert "process 12" in capfd.readouterr().err
