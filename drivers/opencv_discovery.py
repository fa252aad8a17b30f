"""Finding webcams: those that Linux lists. Elsewhere nobody lists them without opening them."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from labonn.errors import ConfigError
from labonn.instruments.discovery import Found, Search

_LISTED = Path("/sys/class/video4linux")


def discover(search: Search) -> Iterator[Found]:
    """Give every video device."""
    if find_spec("cv2") is None:
        raise ConfigError("webcams are not looked for: OpenCV is not installed (pip install 'labonn[opencv]')")
    for place in sorted(_LISTED.glob("video*")):
        number = int(place.name.removeprefix("video"))
        called = (place / "name").read_text(encoding="utf-8", errors="replace").strip()
        table = {"driver": "opencv_camera", "source": number, "backend": "v4l2"}
        yield Found(f"camera:{number}", ("camera",), f"/dev/{place.name}: {called}", table)
