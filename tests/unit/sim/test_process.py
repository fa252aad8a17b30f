"""The world as a process, and its Micro-Manager clients."""

import json
import os
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from sim import registry
from sim.errors import SimulationError, WorldUnreachable
from sim.link import Link
from tests.unit.sim.worlds import BENCHES, LASER, SMALL


def write_bench(folder, name, clock="virtual"):
    text = (BENCHES / "mono.world.toml").read_text(encoding="utf-8").splitlines()
    table, lines = "", []
    for line in text:
        table = line[1 : line.index("]")] if line.startswith("[") else table
        if table == "laser":
            continue
        path = f"{table}.{line.split(' = ')[0]}"
        lines.append(f"{path.rsplit('.', 1)[1]} = {json.dumps(SMALL[path])}" if path in SMALL else line)
    lines += ["[laser]", *(f"{key} = {value}" for key, value in LASER.items())]
    (folder / "small.world.toml").write_text("\n".join(lines), encoding="utf-8")
    bench = folder / f"{name}.bench.toml"
    bench.write_text(f'name = "{name}"\n[world]\nfile = "small.world.toml"\nclock = "{clock}"\n', encoding="utf-8")
    return bench


@pytest.fixture(scope="module", autouse=True)
def _own_registry(tmp_path_factory):
    """Keep these worlds apart from the user's, where the system lets us choose the folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
        yield


def start(bench, *options):
    command = [sys.executable, "-m", "sim", str(bench), *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def process(tmp_path_factory):
    name = f"trial-{os.getpid()}"
    bench = write_bench(tmp_path_factory.mktemp("world"), name)
    process = start(bench, "--idle-s", "30", "--seed", "3")
    info = json.loads(process.stdout.readline())
    yield bench, info
    process.terminate()
    process.communicate(timeout=20)


def talk(info, door, *lines):
    host, port = info[door].rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=20) as connection, connection.makefile("rw") as file:
        replies = []
        for line in lines:
            file.write(line + "\n")
            file.flush()
            replies.append(file.readline().strip())
        return replies


def test_it_says_where_it_is(process):
    _, info = process
    assert info["ready"] is True
    assert info["bench"] == f"trial-{os.getpid()}"
    assert info["seed"] == 3
    assert registry.living(info["bench"]) == info
    assert json.loads(talk(info, "test", '{"op": "truth"}')[0])["seed"] == 3


def test_a_second_one_points_to_the_first_and_leaves(process):
    bench, info = process
    second = start(bench, "--seed", "4")
    out, err = second.communicate(timeout=30)
    assert (second.returncode, json.loads(out), err) == (0, info, "")


@pytest.mark.parametrize("door", ["devices", "clock", "test"])
def test_garbage_does_not_end_it(process, door):
    _, info = process
    host, port = info[door].rsplit(":", 1)
    for garbage in (b"\xff\xfe\x00\n", b"x" * 200_000, b"{" * 70_000 + b"\n", b""):
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            try:
                connection.sendall(garbage)
            except ConnectionError:
                continue
    assert float(talk(info, "clock", "TIME?")[0]) >= 0


def test_it_ends_when_nobody_is_there(tmp_path):
    bench = write_bench(tmp_path, f"idle-{os.getpid()}")
    idle = start(bench, "--idle-s", "0.5")
    info = json.loads(idle.stdout.readline())
    with socket.create_connection(("127.0.0.1", int(info["clock"].rsplit(":", 1)[1]))):
        time.sleep(1.5)
        assert idle.poll() is None, "a client is connected"
    _, err = idle.communicate(timeout=20)
    assert (idle.returncode, err) == (0, "")
    assert registry.living(info["bench"]) is None


def test_it_leaves_nothing_behind_when_it_is_told_to_end(tmp_path):
    name = f"told-{os.getpid()}"
    world = start(write_bench(tmp_path, name))
    json.loads(world.stdout.readline())
    left = {path.suffix for path in registry.folder().glob(f"{name}.*")}
    assert left == {".lock", ".json", ".pixels"}
    world.terminate()
    world.communicate(timeout=20)
    assert {path.suffix for path in registry.folder().glob(f"{name}.*")} <= {".lock"}


@pytest.mark.parametrize("text", ["name = 'x'", "name = 'x'\n[world]\nfile = 'none.toml'\nclock = 'virtual'"])
def test_a_bad_bench_file_is_exit_code_2_and_a_line(tmp_path, text):
    bench = tmp_path / "bad.bench.toml"
    bench.write_text(text, encoding="utf-8")
    bad = start(bench)
    out, err = bad.communicate(timeout=30)
    assert (bad.returncode, out) == (2, "")
    assert "Traceback" not in err
    assert "bad.bench.toml" in err or "none.toml" in err


def to_test_door(process, **request):
    reply = json.loads(talk(process[1], "test", json.dumps(request))[0])
    assert reply["ok"], reply
    return reply


@pytest.fixture
def laser(process):
    """Turn the laser on through its own door, for a while."""
    where = process[1]["doors"]["laser"]
    with socket.create_connection((where["host"], where["port"]), timeout=20) as door, door.makefile("rw") as lines:

        def ask(command):
            lines.write(command + "\r\n")
            lines.flush()
            return lines.readline().strip()

        assert ask("SOUR:AM:STAT ON") == "OK"
        yield ask
        assert ask("SOUR:AM:STAT OFF") == "OK"


def test_every_instrument_has_a_door_and_its_clients_are_counted(process, laser):
    doors = process[1]["doors"]
    assert set(doors) == {"laser", "meter", "thermometer", "shutter", "serial_laser", "stage"}
    assert {name for name, door in doors.items() if "pty" in door} == (
        set() if sys.platform == "win32" else {"shutter", "serial_laser", "stage"}
    )
    truth = to_test_door(process, op="truth")
    assert truth["connections"]["laser"] == 1
    assert truth["connections"]["meter"] == 0
    assert truth["light_on"] is True


def test_pyvisa_and_pyserial_reach_them(process, laser):
    pyvisa = pytest.importorskip("pyvisa")
    serial = pytest.importorskip("serial")
    doors = process[1]["doors"]
    manager = pyvisa.ResourceManager("@py")
    place = "TCPIP0::{host}::{port}::SOCKET".format(**doors["meter"])
    meter = manager.open_resource(place, read_termination="\n", write_termination="\n", open_timeout=5000)
    try:
        assert meter.query("*IDN?").startswith("Thorlabs,PM100D")
        assert abs(float(meter.query("MEAS:POW?"))) < 1e-4
        meter.timeout = 100
        with pytest.raises(pyvisa.VisaIOError, match="VI_ERROR_TMO"):
            meter.query("FLY")
    finally:
        meter.close()
        manager.close()
    with serial.serial_for_url("socket://{host}:{port}".format(**doors["shutter"]), timeout=5) as shutter:
        shutter.write(b"closed?\r")
        assert shutter.read_until(b"> ") == b"closed?\r1\r> "


def test_faults_are_told_and_reported(core, process):
    before = len(to_test_door(process, op="truth")["faults"]["injected"])
    plan = {"schedule": [{"door": "camera", "kind": "truncated", "at": 1}]}
    to_test_door(process, op="faults", plan=plan)
    core.snapImage()
    to_test_door(process, op="faults", plan={})
    assert not core.getImage()[-10:].any()
    injected = to_test_door(process, op="truth")["faults"]["injected"][before:]
    assert [(fault["door"], fault["kind"], fault["at"]) for fault in injected] == [("camera", "truncated", 1)]
    refused = json.loads(talk(process[1], "test", '{"op": "faults", "plan": {"rates": {"x.y": 1}}}')[0])
    assert refused["ok"] is False


@pytest.fixture
def core(process, monkeypatch):
    monkeypatch.setenv("PYMM_LOG_FILE", "0")
    unicore = pytest.importorskip("pymmcore_plus.experimental.unicore")
    monkeypatch.setenv("LABONN_WORLD", process[1]["bench"])
    core = unicore.UniMMCore(adapter_paths=())
    core.loadSystemConfiguration(str(BENCHES / "mono.cfg"))
    yield core
    core.unloadAllDevices()


def test_micromanager_shows_snaps_and_opens(core, process, laser):
    assert (core.getSLMHeight("SLM"), core.getSLMWidth("SLM")) == (96, 96)
    assert core.getAutoShutter() is False
    core.setShutterOpen("Shutter", True)
    core.setSLMImage("Display", np.full((96, 96), 255, np.uint8))
    core.displaySLMImage("Display")
    core.setSLMImage("SLM", np.zeros((96, 96), np.uint8))
    core.displaySLMImage("SLM")
    core.setExposure(8.0)
    assert core.getExposure() == 8.0
    talk(process[1], "clock", "SLEEP 0.1")
    core.snapImage()
    bright = core.getImage().copy()
    core.setShutterOpen("Shutter", False)
    core.snapImage()
    dark = core.getImage()
    assert bright.shape == dark.shape == (150, 140)
    assert bright.dtype == np.uint16
    assert core.getShutterOpen("Shutter") is False
    assert bright.max() > 500
    assert dark.max() < 80


def frames_of(core, count, timeout_s=20.0):
    frames, deadline = [], time.monotonic() + timeout_s
    while len(frames) < count:
        assert time.monotonic() < deadline
        if core.getRemainingImageCount():
            frames.append(core.popNextImageAndMD())
        else:
            time.sleep(1e-3)
    return frames


def test_a_sequence_of_so_many_frames(core, process):
    core.setExposure(5.0)
    core.startSequenceAcquisition(6, 0, True)
    frames = frames_of(core, 6)
    numbers = [int(tags["FrameNumber"]) for _, tags in frames]
    starts = [float(tags["ExposureStart_s"]) for _, tags in frames]
    assert numbers == list(range(numbers[0], numbers[0] + 6))
    assert np.diff(starts) == pytest.approx(8e-3), "its read-out takes longer than its exposure"
    assert frames[0][0].shape == (150, 140)
    deadline = time.monotonic() + 5
    while core.isSequenceRunning() and time.monotonic() < deadline:
        time.sleep(1e-3)
    assert not core.isSequenceRunning()


def test_a_sequence_without_end_has_gaps_where_frames_were_dropped(core, process):
    core.setExposure(5.0)
    to_test_door(
        process, op="faults", plan={"schedule": [{"door": "camera", "kind": "dropped", "at": at} for at in (3, 4)]}
    )
    core.startContinuousSequenceAcquisition(0)
    numbers = [int(tags["FrameNumber"]) for _, tags in frames_of(core, 4)]
    core.stopSequenceAcquisition()
    to_test_door(process, op="faults", plan={})
    assert np.diff(numbers).tolist() == [1, 3, 1]
    assert not core.isSequenceRunning()
    core.snapImage()


def test_a_part_of_the_frame_and_larger_pixels(core):
    core.snapImage()
    whole = core.getImage().copy()
    core.setROI("Camera", 20, 30, 40, 50)
    core.snapImage()
    assert core.getImage().shape == (50, 40)
    core.clearROI()
    core.setProperty("Camera", "Binning", 2)
    core.snapImage()
    binned = core.getImage()
    assert binned.shape == (75, 70)
    assert binned.mean() == pytest.approx(whole.mean(), abs=1.0)
    assert int(core.getProperty("Camera", "Binning")) == 2
    assert binned.std() < whole.std()
    core.setROI("Camera", 10, 15, 20, 25)
    core.startSequenceAcquisition(2, 0, True)
    assert [pixels.shape for pixels, _ in frames_of(core, 2)] == [(25, 20)] * 2
    core.setProperty("Camera", "Binning", 1)
    assert core.getROI("Camera") == [0, 0, 140, 150]
    with pytest.raises(ValueError, match="Binning"):
        core.setProperty("Camera", "Binning", 3)


def test_software_triggers(core):
    core.setProperty("Camera", "TriggerMode", "Software")
    try:
        core.snapImage()
        assert core.getImage().shape == (150, 140)
        core.startSequenceAcquisition(3, 0, True)
        for taken in range(3):
            time.sleep(0.05)
            assert core.getRemainingImageCount() == taken
            core.setProperty("Camera", "TriggerSoftware", 1)
            deadline = time.monotonic() + 5
            while core.getRemainingImageCount() == taken and time.monotonic() < deadline:
                time.sleep(1e-3)
        assert len(frames_of(core, 3)) == 3
    finally:
        core.setProperty("Camera", "TriggerMode", "Internal")


def test_external_triggers_come_from_the_display(core, process):
    core.setProperty("Camera", "TriggerMode", "External")
    core.setProperty("Camera", "TriggerDelay_ms", 17.0)
    try:
        core.startContinuousSequenceAcquisition(0)
        told = float(talk(process[1], "clock", "TIME?")[0])
        core.setSLMImage("Display", np.full((96, 96), 99, np.uint8))
        core.displaySLMImage("Display")
        _, tags = frames_of(core, 1)[0]
        assert float(tags["ExposureStart_s"]) == pytest.approx(told + 17e-3)
        to_test_door(process, op="trigger")
        assert len(frames_of(core, 1)) == 1
        core.stopSequenceAcquisition()
        core.setProperty("Camera", "Timeout_ms", 300)
        with pytest.raises(WorldUnreachable, match="no trigger"):
            core.snapImage()
    finally:
        core.setProperty("Camera", "Timeout_ms", 5000)
        core.setProperty("Camera", "TriggerDelay_ms", 0.0)
        core.setProperty("Camera", "TriggerMode", "Internal")


def test_a_camera_that_delivers_nothing_is_a_clear_error_after_its_timeout(core, process):
    talk(process[1], "test", '{"op": "set", "path": "camera.delivers", "value": false}')
    core.setProperty("Camera", "Timeout_ms", 200)
    began = time.monotonic()
    with pytest.raises(WorldUnreachable, match=r"Camera: no answer to 'snap' within"):
        core.snapImage()
    assert time.monotonic() - began < 3
    talk(process[1], "test", '{"op": "set", "path": "camera.delivers", "value": true}')
    core.setProperty("Camera", "Timeout_ms", 5000)
    core.snapImage()
    assert core.getImage().shape == (150, 140)


def test_without_a_world_a_client_says_so(monkeypatch):
    link = Link("Camera")
    link.world = "no-such-bench"
    with pytest.raises(WorldUnreachable, match="Camera: no simulated laboratory 'no-such-bench' answers"):
        link.request("snap", 1.0)


def test_a_world_that_has_gone_is_said_to_have_gone(tmp_path):
    bench = write_bench(tmp_path, f"gone-{os.getpid()}")
    world = start(bench)
    info = json.loads(world.stdout.readline())
    link = Link("Shutter")
    link.world = info["bench"]
    assert link.request("shutter", 5.0)["open"] is False
    world.kill()
    world.communicate(timeout=20)
    with pytest.raises(WorldUnreachable, match="Shutter"):
        link.request("shutter", 5.0)
    with pytest.raises(WorldUnreachable, match=info["bench"]):
        link.request("shutter", 5.0)


@pytest.mark.parametrize("name", ["../x", "", "a b", "x" * 80])
def test_a_name_that_is_no_file_name_is_refused(name):
    with pytest.raises(SimulationError, match="not a bench's name"):
        registry.claim(name)
