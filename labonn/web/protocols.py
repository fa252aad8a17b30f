"""The protocols that can be chosen on the page: those that come with labonn, and those in the laboratory's folder."""

import asyncio
import json
import logging
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from labonn.errors import ConfigError, RecordError
from labonn.records.disk import json_bytes, sha256_of, write_atomically
from labonn.records.runs import labonn_version
from labonn.web.place import Place

logger = logging.getLogger(__name__)

_FOLDER = "protocols"
_CACHE = "protocols.json"
_LIMIT_S = 120.0
LONGEST_VALUE = 2_000


@dataclass(frozen=True)
class Key:
    """A parameter of a protocol, as a field of a form."""

    key: str
    type: str
    default: str
    help: str
    kind: str = "text"
    lowest: float | None = None
    highest: float | None = None
    choices: tuple[str, ...] = ()
    begins: str = ""

    @property
    def needed(self) -> bool:
        """Whether it has no default."""
        return self.default == "(needed)"


@dataclass(frozen=True)
class Protocol:
    """A protocol that can be chosen."""

    name: str
    path: Path
    own: bool
    """Whether it is the laboratory's own."""
    sha256: str = ""
    purpose: str = ""
    keys: tuple[Key, ...] = ()
    error: str | None = None

    @property
    def word(self) -> str:
        """What ``labonn run`` is told."""
        return str(self.path) if self.own else self.name

    def settings(self, values: Mapping[str, str]) -> list[str]:
        """Give the words for the values that differ from their defaults.

        Raises
        ------
        ConfigError
            If there is no such key, one that is needed is missing, or a value is longer than anybody types.
        """
        known = {key.key: key for key in self.keys}
        words: list[str] = []
        for name, value in values.items():
            if name not in known:
                raise ConfigError(f"{self.name}: has no key {name!r} any more; open the form again")
            if len(value) > LONGEST_VALUE:
                raise ConfigError(f"{name}: has {len(value)} characters; {LONGEST_VALUE} is the most")
            if any(not one.isprintable() for one in value):
                raise ConfigError(f"{name}: has characters that cannot be printed")
            if value.strip() and value != known[name].begins:
                words += ["--set", f"{name}={value.strip()}"]
            elif known[name].needed:
                raise ConfigError(f"{name}: is needed")
        return words


class Protocols:
    """What is known of the protocols; described anew when a script changes.

    Parameters
    ----------
    place
        The laboratory.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._cache = place.own / _CACHE
        self._described: dict[str, dict[str, Any]] = {}
        self._lock = asyncio.Lock()
        with suppress(OSError, ValueError):
            content = json.loads(self._cache.read_text(encoding="utf-8"))
            if content["labonn"] == labonn_version():
                self._described = dict(content["protocols"])

    async def all(self) -> dict[str, Protocol]:
        """Give every protocol by its name; takes some seconds where one has to be described."""
        async with self._lock:
            files = await asyncio.to_thread(self._files)
            missing = {str(one.path): one for one in files if self._known(one) is None}
            if missing:
                await self._describe(missing)
            return {one.name: self._known(one) or one for one in files}

    async def current(self, name: str, sha256: str) -> Protocol:
        """Give a protocol as somebody saw it.

        Raises
        ------
        ConfigError
            If there is none of this name any more, it cannot be run, or it was changed since.
        """
        protocol = (await self.all()).get(name)
        if protocol is None:
            raise ConfigError(f"there is no protocol {name!r} any more")
        if protocol.error is not None:
            raise ConfigError(protocol.error)
        if protocol.sha256 != sha256:
            raise ConfigError(f"{protocol.path}: was changed since this form was opened; look at it again")
        return protocol

    def _files(self) -> list[Protocol]:
        package = find_spec("protocols")
        folders = [(Path(one), False) for one in ((package.submodule_search_locations or []) if package else [])]
        folders.append((self._place.lab / _FOLDER, True))
        found: dict[str, Protocol] = {}
        for folder, own in folders:
            for path in sorted(folder.glob("*.py")) if folder.is_dir() else []:
                # What a link points at may lie anywhere, and be anybody's.
                if path.stem.startswith("_") or not path.resolve().is_relative_to(folder.resolve()):
                    continue
                name = f"{path.stem} (own)" if path.stem in found else path.stem
                found[name] = Protocol(name, path.resolve(), own, sha256_of(path))
        return list(found.values())

    def _known(self, one: Protocol) -> Protocol | None:
        told = self._described.get(f"{one.path} {one.sha256}")
        if told is None:
            return None
        keys = tuple(Key(**{**key, "choices": tuple(key["choices"])}) for key in told.get("keys", []))
        return Protocol(one.name, one.path, one.own, one.sha256, told.get("purpose", ""), keys, told.get("error"))

    async def _describe(self, scripts: Mapping[str, Protocol]) -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "labonn.web.describing", *scripts,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            said, complaints = await asyncio.wait_for(process.communicate(), _LIMIT_S)
            found = json.loads(said)
        except (TimeoutError, ValueError) as error:
            if process.returncode is None:
                process.kill()
            logger.error("the protocols could not be described: %r", error)
            found = {path: {"error": f"{path}: could not be described: {error!r}"} for path in scripts}
        else:
            if complaints:
                logger.info("while describing protocols: %s", complaints.decode(errors="replace")[-500:])
        for path, told in found.items():
            self._described[f"{path} {scripts[path].sha256}"] = told
        content = {"schema": 1, "labonn": labonn_version(), "protocols": self._described}
        try:
            await asyncio.to_thread(write_atomically, self._cache, json_bytes(content))
        except RecordError as error:
            logger.warning("%s", error)
