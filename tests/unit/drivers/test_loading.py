"""No instrument's library is loaded before a bench uses it, whatever drivers there are."""

import subprocess
import sys

LIBRARIES = ("PySide6", "cv2", "slmsuite", "harvesters", "genicam", "pymmcore_plus", "pyvisa", "serial", "torch")


def test_loading_every_driver_and_finder_loads_no_library() -> None:
    code = (
        "import sys; from importlib.metadata import entry_points;"
        "[point.load() for group in ('labonn.drivers', 'labonn.discovery') for point in entry_points(group=group)];"
        f"print(*(name for name in {LIBRARIES!r} if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout.split() == []
