"""Cameras that OpenCV opens: recordings frame by frame, live streams never stale, and what they cannot do said.

The live one is a network camera of our own: JPEG frames over HTTP, each with the number that stood when it was sent.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drivers.opencv_camera import OpenCVCamera
from labonn.errors import ConfigError, InstrumentError
from labonn.instruments import Camera

from .benches import make, site

cv2 = pytest.importorskip("cv2", reason="pip install 'labonn[opencv]'")

HEIGHT, WIDTH = 48, 64
_SQUARE = 8  # an eighth of JPEG's own blocks survives it


def noise(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, HEIGHT, WIDTH)).astype(np.uint8)


def record(file: Path, frames: np.ndarray, per_s: float = 25.0) -> Path:
    """Write a recording without losses."""
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter_fourcc(*"FFV1"), per_s, frames.shape[2:0:-1], frames.ndim == 4)
    assert writer.isOpened()
    for frame in frames:
        writer.write(frame)
    writer.release()
    return file


@contextmanager
def opened(folder: Path = Path(), **changes: Any) -> Iterator[Any]:
    table = {"driver": "opencv_camera", "fixed_exposure": True, "exposure_ms": 5.0, "timeout_ms": 3_000}
    camera = make(Camera, site(folder), **{**table, **changes})
    try:
        camera.connect()
        yield camera
    finally:
        camera.disconnect()


def test_a_recording_is_given_frame_by_frame_until_it_ends(tmp_path: Path) -> None:
    frames = noise(7)
    record(tmp_path / "frames.avi", frames)
    with opened(tmp_path, source="frames.avi") as camera:
        assert camera.shape == (HEIGHT, WIDTH)
        assert np.array_equal(camera.snap(), frames[0])
        taken = list(camera.frames(4))
        assert np.array_equal([frame.pixels for frame in taken], frames[1:5])
        assert [frame.number for frame in taken] == [2, 3, 4, 5]
        assert np.diff([frame.stamp_ms for frame in taken]) == pytest.approx(40.0)
        with pytest.raises(
            InstrumentError, match=r"delivered 2 of 3 frames of a sequence: 'frames.avi' has ended after 7"
        ):
            list(camera.frames(3))
        with pytest.raises(InstrumentError, match=r"'frames\.avi' has ended after 7 frames"):
            camera.snap()


def test_a_part_of_the_sensor_is_cut_out(tmp_path: Path) -> None:
    frames = noise(2)
    record(tmp_path / "frames.avi", frames)
    with opened(tmp_path, source="frames.avi", roi=[8, 16, 20, 30]) as camera:
        assert np.array_equal(camera.snap(), frames[0, 8:28, 16:46])
        camera.roi = None
        assert np.array_equal(camera.snap(), frames[1])
        with pytest.raises(ConfigError, match="binning = 2: its driver does not bin"):
            camera.binning = 2


@pytest.mark.parametrize(("plane", "index"), [("blue", 0), ("green", 1), ("red", 2)])
def test_one_plane_of_a_colour_recording(tmp_path: Path, plane: str, index: int) -> None:
    flat = np.broadcast_to(np.array([30, 120, 210], np.uint8), (2, HEIGHT, WIDTH, 3))
    record(tmp_path / "colours.avi", np.ascontiguousarray(flat))
    with opened(tmp_path, source="colours.avi", plane=plane) as camera:
        assert np.abs(camera.snap().astype(int) - (30, 120, 210)[index]).max() <= 2


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"source": "frames.avi", "fixed_exposure": False}, ConfigError, "back end FFMPEG does not set the exposure"),
        ({"source": "frames.avi", "frame_px": [100, 100]}, ConfigError, r"frame_px = \[100, 100\]: .*sets \[48, 64\]"),
        ({"source": "frames.avi", "backend": "quicktime"}, ConfigError, "OpenCV has none of that name; .*ffmpeg"),
        ({"source": "frames.avi", "trigger": "external"}, ConfigError, "its driver has the internal one only"),
        ({"source": "frames.avi", "bit_depth": 12}, ConfigError, "8 bits unless raw = true"),
        ({"source": "not there.avi"}, InstrumentError, "source = 'not there.avi': OpenCV cannot open it"),
        ({"source": 97}, InstrumentError, "source = 97: OpenCV cannot open it with 'any'; check its cable"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, changes: dict[str, Any], error: type, said: str) -> None:
    record(tmp_path / "frames.avi", noise(2))
    with pytest.raises(error, match=said), opened(tmp_path, **changes):
        pass


def test_an_exposure_that_is_fixed_stays(tmp_path: Path) -> None:
    record(tmp_path / "frames.avi", noise(2))
    with opened(tmp_path, source="frames.avi") as camera:
        camera.exposure_ms = 5.0
        with pytest.raises(ConfigError, match=r"exposure_ms = 7: .*cannot be set from here .*and is 5 ms"):
            camera.exposure_ms = 7.0
        assert camera.exposure_ms == 5.0


class Webcam:
    """As OpenCV's back ends of webcams take settings: V4L2 in 100 us, DirectShow in powers of 2 of a second."""

    def __init__(self, backend: str, answers: bool = True) -> None:
        self.backend, self.answers = backend, answers
        self.set_to: dict[int, float] = {}

    def getBackendName(self) -> str:
        return self.backend

    def set(self, setting: int, value: float) -> bool:
        self.set_to[setting] = value
        return self.answers

    def get(self, setting: int) -> float:
        return self.set_to[setting]


@pytest.mark.parametrize(
    ("backend", "told", "automatic", "is_ms"), [("V4L2", 156.25, 1.0, 15.625), ("DSHOW", -6, 0.0, 15.625)]
)
def test_exposures_are_told_in_the_back_end_s_units(
    tmp_path: Path, backend: str, told: float, automatic: float, is_ms: float
) -> None:
    record(tmp_path / "frames.avi", noise(2))
    with opened(tmp_path, source="frames.avi") as camera:
        camera.table = camera.table.model_copy(update={"fixed_exposure": False})
        camera._capture = webcam = Webcam(backend)
        camera.exposure_ms = 15.625
        assert webcam.set_to == {cv2.CAP_PROP_AUTO_EXPOSURE: automatic, cv2.CAP_PROP_EXPOSURE: told}
        assert camera.exposure_ms == is_ms
        if backend == "DSHOW":
            with pytest.raises(InstrumentError, match=r"asked for an exposure of 20 ms and set 15.625 ms"):
                camera.exposure_ms = 20.0
        camera._capture = Webcam(backend, answers=False)
        with pytest.raises(ConfigError, match="does not set the exposure"):
            camera.exposure_ms = 15.625


class NetworkCamera(ThreadingHTTPServer):
    """A JPEG every 20 ms to whoever asks; `number` is what is before its lens."""

    daemon_threads = True
    number = 0
    plugged = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Frames)


class _Frames(BaseHTTPRequestHandler):
    server: NetworkCamera

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        while self.server.plugged:
            picture = cv2.imencode(".jpg", numbered(self.server.number), [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
            try:
                self.wfile.write(head.encode() + picture + b"\r\n")
            except OSError:
                return
            time.sleep(0.02)

    def log_message(self, *arguments: Any) -> None:
        pass


def numbered(number: int) -> np.ndarray:
    bits = np.array([number >> place & 1 for place in range(HEIGHT * WIDTH // _SQUARE**2)], np.uint8)
    squares = bits.reshape(HEIGHT // _SQUARE, WIDTH // _SQUARE) * np.uint8(255)
    return np.kron(squares, np.ones((_SQUARE, _SQUARE), np.uint8))


def number_of(frame: np.ndarray) -> int:
    squares = frame.reshape(HEIGHT // _SQUARE, _SQUARE, WIDTH // _SQUARE, _SQUARE).mean(axis=(1, 3)) > 128
    return sum(int(bit) << place for place, bit in enumerate(squares.ravel()))


@pytest.fixture
def network_camera() -> Iterator[NetworkCamera]:
    with NetworkCamera() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.plugged = False
        server.shutdown()


def test_a_frame_of_a_live_stream_was_exposed_after_it_was_asked_for(network_camera: NetworkCamera) -> None:
    url = f"http://127.0.0.1:{network_camera.server_port}/stream.mjpg"
    with opened(source=url, latency_ms=60.0) as camera:
        for number in (1, 2**30, 3):
            time.sleep(0.25)  # in which a dozen frames come that nobody wants
            network_camera.number = number
            assert number_of(camera.snap()) == number
        network_camera.number = 77
        taken = list(camera.frames(10))
        assert [number_of(frame.pixels) for frame in taken] == [77] * 10
        numbers = [frame.number for frame in taken]
        assert numbers == list(range(numbers[0], numbers[0] + 10))


def test_a_camera_that_is_unplugged_while_it_streams(network_camera: NetworkCamera) -> None:
    url = f"http://127.0.0.1:{network_camera.server_port}/stream.mjpg"
    with opened(source=url) as camera:
        begun = time.monotonic()
        frames = camera.frames(1_000)
        next(frames)
        network_camera.plugged = False
        with pytest.raises(InstrumentError, match=r"delivered \d+ of 1000 frames of a sequence: .*no frames any more"):
            list(frames)
        with pytest.raises(
            InstrumentError, match="delivers no frames any more; check its cable, then open the bench again"
        ):
            camera.snap()
        assert time.monotonic() - begun < 10


def test_a_live_camera_is_for_one_process(network_camera: NetworkCamera) -> None:
    url = f"http://127.0.0.1:{network_camera.server_port}/stream.mjpg"
    taken = pytest.raises(InstrumentError, match="another process of labonn has the camera 'http")
    with opened(source=url), taken, opened(source=url):
        pass
    with opened(source=url):
        pass


def test_where_it_is_missing_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drivers.opencv_camera.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"OpenCV, which is not installed: pip install 'labonn\[opencv\]'"):
        OpenCVCamera("camera", OpenCVCamera.table_model(driver="opencv_camera", source=0), site()).get_ready()  # type: ignore[call-arg]
