"""Dialects: the shipped ones against their manuals' examples, and those that laboratories write."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.conversation import Conversation, Patience
from drivers.dialect import (
    Dialect,
    Identity,
    LightDialect,
    LineRules,
    Number,
    NumberCommand,
    PowerMeterDialect,
    ShutterDialect,
    StageDialect,
    ThermometerDialect,
)
from drivers.dialect_files import MODELS, read_dialect
from drivers.line import Line, NoReply, Port
from labonn.errors import ConfigError

KINDS: dict[str, type[Dialect]] = {
    "light": LightDialect,
    "meter": PowerMeterDialect,
    "thermometer": ThermometerDialect,
    "shutter": ShutterDialect,
    "stage": StageDialect,
}


def shipped(kind: type[Dialect], model: str, **parameters: str) -> Any:
    return read_dialect(kind, "here", Path(), model=model, inline=None, parameters=parameters)


@pytest.mark.parametrize("file", sorted(MODELS.glob("*.toml")), ids=lambda file: file.stem)
def test_every_shipped_dialect_is_right_and_says_where_it_comes_from(file: Path) -> None:
    dialect = shipped(KINDS[tomllib.loads(file.read_text(encoding="utf-8"))["kind"]], file.stem)
    assert dialect.manual
    maker, *_ = dialect.name.lower().split()
    assert file.stem.startswith(maker.replace("lake", "lakeshore"))


@pytest.mark.parametrize(
    ("model", "kind", "identity"),
    [
        ("coherent-obis", LightDialect, "Coherent, Inc - OBIS 405nm 50mW C - V1.0.1 - Dec 14 2010"),
        ("thorlabs-itc4000", LightDialect, "Thorlabs,ITC4005,M00250485,1.8.0/1.7.0/2.8.0"),
        ("thorlabs-pm100d", PowerMeterDialect, "Thorlabs,PM100D,P0004893,2.4.0"),
        ("newport-1936-r", PowerMeterDialect, "NEWPORT 1936-R v1.0.0 10/27/09 SN0001"),
        ("lakeshore-336", ThermometerDialect, "LSCI,MODEL336,1234567/1234567,1.0"),
        ("keysight-daq970a", ThermometerDialect, "Keysight Technologies,DAQ970A,MY58000123,A.02.01-01.00-02.01-00.01"),
        ("keysight-daq970a", ThermometerDialect, "HEWLETT-PACKARD,34970A,0,9-1-2"),
        ("thorlabs-sc10", ShutterDialect, "THORLABS SC10 VERSION 1.07"),
        ("cobolt-06-mld", LightDialect, "12345"),
        ("toptica-ibeam-smart", LightDialect, "iBEAM-SMART-405-S-A"),
        ("pi-gcs2", StageDialect, "(c)2013 Physik Instrumente(PI) Karlsruhe, C-863.11, 0, 1.2.0.0"),
        ("asi-ms2000", StageDialect, ":A ASI-MS2000-XYB-ZFR-USB"),
    ],
)
def test_each_recognises_its_own_instrument_and_no_other(model: str, kind: type[Dialect], identity: str) -> None:
    assert shipped(kind, model).identity.like.fullmatch(identity)
    others = [file.stem for file in MODELS.glob("*.toml") if file.stem != model]
    for other in others:
        other_kind = KINDS[tomllib.loads((MODELS / f"{other}.toml").read_text(encoding="utf-8"))["kind"]]
        assert not shipped(other_kind, other).identity.like.fullmatch(identity)


@pytest.mark.parametrize(
    ("model", "kind", "key", "answer", "expected"),
    [
        ("coherent-obis", LightDialect, "power", "0.015000", 15.0),
        ("thorlabs-itc4000", LightDialect, "power", "1.20000000E-02", 12.0),
        ("thorlabs-pm100d", PowerMeterDialect, "power", "1.02340000E-03", 1.0234),
        ("newport-1936-r", PowerMeterDialect, "power", "-1.5E-8", -1.5e-5),
        ("lakeshore-336", ThermometerDialect, "celsius", "+023.456", 23.456),
        ("keysight-daq970a", ThermometerDialect, "celsius", "+2.35000000E+01", 23.5),
        ("cobolt-06-mld", LightDialect, "power", "0.0200", 20.0),
        ("toptica-ibeam-smart", LightDialect, "power", "PIC  = 001500 uW", 1.5),
        ("pi-gcs2", StageDialect, "position", "1=0.012500", 12.5),
        ("pi-gcs2", StageDialect, "position", "1=-1.2e-02", -12.0),
        ("asi-ms2000", StageDialect, "position", ":A 1234.5", 123.45),
    ],
)
def test_each_reads_numbers_in_our_units(
    model: str, kind: type[Dialect], key: str, answer: str, expected: float
) -> None:
    number: Number = getattr(shipped(kind, model), key)
    assert number.read(answer) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("model", "key", "value", "lines"),
    [
        ("coherent-obis", "set_power", 15.0, ("SOUR:POW:LEV:IMM:AMPL 0.015000",)),
        ("thorlabs-itc4000", "set_power", 2.5, ("SOUR:POW 0.002500",)),
        ("cobolt-06-mld", "set_power", 7.0, ("p 0.00700",)),
        ("toptica-ibeam-smart", "set_power", 1.25, ("ch 2 pow 1250 mic",)),
    ],
)
def test_each_sets_powers_in_its_units(model: str, key: str, value: float, lines: tuple[str, ...]) -> None:
    assert getattr(shipped(LightDialect, model), key).lines(value) == lines


def test_parameters_take_their_places() -> None:
    assert shipped(ThermometerDialect, "lakeshore-336").celsius.ask == "CRDG? A"
    assert shipped(ThermometerDialect, "lakeshore-336", channel="D2").celsius.ask == "CRDG? D2"
    keysight = shipped(ThermometerDialect, "keysight-daq970a", channel="203", probe="RTD,85")
    assert keysight.celsius.ask == "MEAS:TEMP? RTD,85,(@203)"
    assert keysight.setup == ("UNIT:TEMP C,(@203)",)
    with pytest.raises(ConfigError, match=r"parameters.chanel: .*has no such parameter; it has: channel"):
        shipped(ThermometerDialect, "lakeshore-336", chanel="B")


OWN = """\
kind = "thermometer"
[identity]
ask = "*IDN?"
like = "Mine.*"
[celsius]
ask = "T?"
scale = 0.1
offset = -273.15
"""


def test_a_laboratory_s_own_dialect_stands_beside_the_bench_file_or_within_it(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(OWN, encoding="utf-8")
    beside = read_dialect(ThermometerDialect, "here", tmp_path, model="mine.toml", inline=None, parameters={})
    within = read_dialect(ThermometerDialect, "here", tmp_path, model=None, inline=tomllib.loads(OWN), parameters={})
    assert beside == within
    assert beside.celsius.read("2950") == pytest.approx(21.85)


@pytest.mark.parametrize(
    ("model", "inline", "said"),
    [
        (None, None, r"here: give either model, one of 'keysight-daq970a', 'lakeshore-336' or a file of your own, or"),
        ("lakeshore-336", {}, "here: give either model"),
        (
            "lakeshore",
            None,
            "here: model = 'lakeshore': there is no such dialect; there are: 'keysight-daq970a', 'lake",
        ),
        ("coherent-obis", None, r"coherent-obis.toml: kind = 'light': Input should be 'thermometer'"),
        ("none.toml", None, r"none.toml: cannot be read"),
        (None, {"celsius": {"ask": "T? {channel}"}}, r"here.dialect: celsius.ask.*names something in \{braces\}"),
        (None, {"celsius": {"ask": "T?\n"}}, "must be one line of ASCII text"),
        (None, {"celsius": {"ask": "T?", "like": "[0-9]+"}}, "must have exactly one group"),
        (None, {"celsius": {"ask": "T?", "like": "("}}, "here.dialect: celsius.like"),
        (None, {"celsius": {"aks": "T?"}}, "here.dialect: celsius.aks: no such key; check its spelling"),
        (None, {"line": {"acknowledges": "everything"}}, "needs an acknowledgement"),
    ],
)
def test_what_is_no_dialect_is_refused_by_place_and_key(model: str | None, inline: Any, said: str) -> None:
    if inline:
        inline = tomllib.loads(OWN) | inline
    with pytest.raises(ConfigError, match=said):
        read_dialect(ThermometerDialect, "here", Path(), model=model, inline=inline, parameters={})


@pytest.mark.parametrize(
    ("moves", "fits"),
    [
        ({"open": "O", "close": "C"}, True),
        ({"toggle": {"tell": "T", "state": {"ask": "?", "yes": "1", "no": "0"}}}, True),
        ({}, False),
        ({"open": "O"}, False),
        ({"open": "O", "close": "C", "toggle": {"tell": "T", "state": {"ask": "?", "yes": "1", "no": "0"}}}, False),
    ],
)
def test_a_shutter_is_moved_in_one_way(moves: dict[str, Any], fits: bool) -> None:
    content = {
        "kind": "shutter",
        "identity": {"ask": "?", "like": ".*"},
        "is_open": {"ask": "?", "yes": "1", "no": "0"},
    } | moves
    if fits:
        ShutterDialect.model_validate(content)
    else:
        with pytest.raises(ValueError, match="give either open and close, or toggle"):
            ShutterDialect.model_validate(content)


@pytest.mark.parametrize("tell", ["P", "P {value:q}", "P {power}", "P {value} {0}", "P {value"])
def test_a_command_for_a_number_names_the_number(tell: str) -> None:
    with pytest.raises(ValueError, match="value"):
        NumberCommand(tell=(tell,))


@given(
    st.floats(-1e6, 1e6), st.sampled_from(["{:.9e}", "{:+.6f}", " {:E} ", "{:g}"]), st.sampled_from([1.0, 1e3, 1e-3])
)
def test_a_number_is_read_however_it_is_written(value: float, written: str, scale: float) -> None:
    text = written.format(value)
    assert Number(ask="?", scale=scale).read(text) == pytest.approx(float(text) * scale)


@given(st.text(max_size=20))
def test_what_is_no_number_is_never_taken_for_one(text: str) -> None:
    try:
        read = Number(ask="?").read(text)
    except ValueError:
        return
    assert read == float(text)


class Tape(Line):
    """A line that has been recorded, and comes in pieces."""

    def __init__(self, pieces: list[bytes]) -> None:
        super().__init__("tape")
        self._pieces = pieces
        self.sent = b""

    is_open = True

    def open(self) -> None: ...

    def close(self) -> None: ...

    def drain(self) -> bytes:
        return b""

    def send(self, data: bytes) -> None:
        self.sent += data

    def receive(self, end: bytes, within_s: float) -> bytes:
        received = b""
        while end not in received:
            if not self._pieces:
                raise NoReply(within_s, received)
            received += self._pieces.pop(0)
        first, rest = received.split(end, 1)
        if rest:
            self._pieces.insert(0, rest)
        return first + end


WORD = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=">"), min_size=1, max_size=8)


@given(st.lists(WORD, min_size=1, max_size=4), st.lists(st.integers(1, 6), max_size=40), st.booleans(), st.booleans())
def test_an_answer_is_the_same_in_however_many_pieces_it_comes(
    lines: list[str], cuts: list[int], echo: bool, acknowledged: bool
) -> None:
    said = [*(["ask"] if echo else []), *lines, *(["done"] if acknowledged else [])]
    whole = "".join(f"{line}\r\n" for line in said).encode() + b"> "
    pieces, at = [], 0
    for cut in cuts:
        pieces.append(whole[at : at + cut])
        at += cut
    rules: dict[str, Any] = {"acknowledgement": "done", "acknowledges": "everything"} if acknowledged else {}
    dialect = Dialect(
        identity=Identity(ask="?", like=".*"),  # type: ignore[arg-type]
        line=LineRules(read_end="\r\n", prompt="> ", echo=echo, **rules),
    )
    tape = Tape([piece for piece in [*pieces, whole[at:]] if piece])
    talk = Conversation("it", Port(tape, dialect.line), dialect, Patience(1, 0, 1))
    talk._greeted = 0
    assert talk.ask("ask", str) == "\n".join(lines)
    assert tape.sent == b"ask\n"
