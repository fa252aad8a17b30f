"""Serving the page: where, over what, and to whom; refused before anything is opened where that is not safe."""

import ipaddress
import logging
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from getpass import getuser
from pathlib import Path

from labonn.errors import ConfigError
from labonn.web.users import TOKEN, Access, Person, read_access

logger = logging.getLogger(__name__)

_LARGEST_MESSAGE = 1 << 20
_LINGER_S = 3


@dataclass(frozen=True)
class Serving:
    """How the page is to be served."""

    lab: Path
    benches: Sequence[Path] = ()
    host: str = "127.0.0.1"
    port: int = 8080
    users: Path | None = None
    token_file: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    @property
    def over_tls(self) -> bool:
        """Whether what goes over the wire is encrypted."""
        return self.certificate is not None

    @property
    def loopback(self) -> bool:
        """Whether only this computer can reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def access_for(serving: Serving) -> Access:
    """Say who is let in.

    Raises
    ------
    ConfigError
        If the page would be open to other computers without a login, or a file is wrong.
    """
    if (serving.certificate is None) != (serving.key is None):
        raise ConfigError("--certificate and --key: give both, or none of them")
    for path in (serving.certificate, serving.key):
        if path is not None and not path.is_file():
            raise ConfigError(f"{path}: there is no such file")
    access = read_access(serving.users, serving.token_file)
    if access is not None:
        return access
    if not serving.loopback:
        raise ConfigError(
            f"--host {serving.host}: other computers could move the instruments without a login; give --users FILE"
            f" (`labonn users add` makes one), --token-file FILE or the variable {TOKEN}, or leave --host out"
        )
    return Access(local=Person(_this_user(), "operator"))


def warnings_of(serving: Serving) -> list[str]:
    """Say what is not as safe as it could be."""
    if serving.loopback or serving.over_tls:
        return []
    return [
        f"the page on {serving.host} is served without TLS: passwords and pictures can be read on the way; give"
        " --certificate and --key, or stay on the loopback interface behind a proxy or an SSH tunnel"
    ]


def serve(serving: Serving, ready: Callable[[str], None]) -> str:
    """Serve the page until the process is asked to stop; runs that were started from it go on.

    Parameters
    ----------
    serving
        How.
    ready
        Told the page's address when it answers.

    Returns
    -------
    The address.

    Raises
    ------
    ConfigError
        If it is not safe, or there is no such address or port.
    """
    access = access_for(serving)
    for words in warnings_of(serving):
        logger.warning("%s", words)
    door = _door(serving)
    import uvicorn

    from labonn.web.app import make_app, make_desk

    app = make_app(make_desk(serving.lab, serving.benches, access), over_tls=serving.over_tls)
    port = int(door.getsockname()[1])
    name = f"[{serving.host}]" if ":" in serving.host else serving.host
    address = f"{'https' if serving.over_tls else 'http'}://{name}:{port}/"
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws_max_size=_LARGEST_MESSAGE,
        timeout_graceful_shutdown=_LINGER_S,
        ssl_certfile=serving.certificate,
        ssl_keyfile=serving.key,
    )

    class Server(uvicorn.Server):
        """Says when it answers."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                ready(address)

    with door, _asked_to_stop():
        Server(config).run(sockets=[door])
    return address


@contextmanager
def _asked_to_stop() -> Iterator[None]:
    """End well when the process is asked to: uvicorn closes the page, and passes the signal on."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except KeyboardInterrupt:
        logger.info("the page is closed; runs that were started from it go on")
    finally:
        signal.signal(signal.SIGTERM, before)


def _door(serving: Serving) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            serving.host, serving.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        door = socket.socket(family, kind, protocol)
        try:
            door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            door.bind(address)
        except OSError:
            door.close()
            raise
    except OSError as error:
        raise ConfigError(
            f"--host {serving.host} --port {serving.port}: cannot be served there: {error.strerror or error};"
            " is another page served there already? --port 0 takes a free one"
        ) from error
    return door


def _this_user() -> str:
    try:
        return getuser()
    except (OSError, KeyError, ImportError):
        return "operator"
