"""The power meter's SCPI door: a Thorlabs PM100D with a silicon sensor S120C.

Commands and answers end with LF; a CR before it does no harm. Without a question mark there is no answer.

Source: Thorlabs, PM100D operation manual, section "SCPI commands".
"""

from math import log10
from typing import ClassVar

from sim.illumination import Illumination
from sim.scpi import ScpiError, ScpiSession, number, switch

_SHORTEST_NM, _LONGEST_NM = 400.0, 1100.0
_MOST_W = 0.05
_LEAST_DBM = -90.0


class MeterSettings:
    """What the meter is set to, for all of its clients."""

    def __init__(self, wavelength_nm: float) -> None:
        self.first_nm = wavelength_nm
        self.reset()

    def reset(self) -> None:
        """Go back to how it was when it was turned on."""
        self.wavelength_nm = self.first_nm
        self.unit = "W"
        self.averages = 1
        self.auto_range = True
        self.range_w = _MOST_W


class PM100D(ScpiSession):
    """One client of the PM100D."""

    ends: ClassVar[bytes] = b"\n"
    ignored: ClassVar[bytes] = b"\r"
    queue_length: ClassVar[int] = 30

    def __init__(self, light: Illumination, settings: MeterSettings) -> None:
        self._light = light
        self._set = settings
        self._last_w = 0.0
        super().__init__(
            {
                "*IDN?": lambda _: "Thorlabs,PM100D,P0000001,2.7.0",
                "*RST": lambda _: settings.reset(),
                "*CLS": lambda _: self.errors.clear(),
                "*TST?": lambda _: "0",
                "*OPC": lambda _: None,
                "*OPC?": lambda _: "1",
                "*WAI": lambda _: None,
                "*ESR?": lambda _: "0",
                "*STB?": lambda _: "4" if self.errors else "0",
                "SYSTem:ERRor[:NEXT]?": lambda _: self._next_error(),
                "SYSTem:VERSion?": lambda _: "1999.0",
                "SYSTem:SENSor:IDN?": lambda _: '"S120C","SIM0001","01-JAN-2024",1,18,289',
                "[SENSe:]CORRection:WAVelength": self._set_wavelength,
                "[SENSe:]CORRection:WAVelength?": self._wavelength,
                "[SENSe:]POWer[:DC]:UNIT": self._set_unit,
                "[SENSe:]POWer[:DC]:UNIT?": lambda _: settings.unit,
                "[SENSe:]POWer[:DC]:RANGe[:UPPer]": self._set_range,
                "[SENSe:]POWer[:DC]:RANGe[:UPPer]?": lambda _: f"{settings.range_w:.8E}",
                "[SENSe:]POWer[:DC]:RANGe:AUTO": self._set_auto_range,
                "[SENSe:]POWer[:DC]:RANGe:AUTO?": lambda _: str(int(settings.auto_range)),
                "[SENSe:]AVERage[:COUNt]": self._set_averages,
                "[SENSe:]AVERage[:COUNt]?": lambda _: str(settings.averages),
                "CONFigure[:SCALar][:POWer]": lambda _: None,
                "CONFigure?": lambda _: "POW",
                "INITiate[:IMMediate]": lambda _: self._measure(),
                "ABORt": lambda _: None,
                "MEASure[:SCALar][:POWer]?": lambda _: self._measured(),
                "READ?": lambda _: self._measured(),
                "FETCh?": lambda _: self._shown(),
            }
        )

    def answer(self, command: str) -> str:
        """Carry out a line."""
        try:
            said = self.carry_out(command)
        except ScpiError:
            return ""
        return "" if said is None else said + "\n"

    def _next_error(self) -> str:
        code, text = self.pop()
        return f'{code:+d},"{text}"'

    def _set_wavelength(self, parameters: str) -> None:
        wavelength_nm = number(parameters)
        if not _SHORTEST_NM <= wavelength_nm <= _LONGEST_NM:
            raise ScpiError(-222)
        self._set.wavelength_nm = wavelength_nm

    def _wavelength(self, parameters: str) -> str:
        limits = {"": self._set.wavelength_nm, "MIN": _SHORTEST_NM, "MAX": _LONGEST_NM}
        if parameters.upper() not in limits:
            raise ScpiError(-224)
        return f"{limits[parameters.upper()]:.8E}"

    def _set_unit(self, parameters: str) -> None:
        if parameters.upper() not in ("W", "DBM"):
            raise ScpiError(-224 if parameters else -109)
        self._set.unit = parameters.upper()

    def _set_range(self, parameters: str) -> None:
        range_w = number(parameters)
        if not 0.0 <= range_w <= _MOST_W:
            raise ScpiError(-222)
        self._set.auto_range = False
        self._set.range_w = max(range_w, 1e-9)

    def _set_auto_range(self, parameters: str) -> None:
        self._set.auto_range = switch(parameters)
        if self._set.auto_range:
            self._set.range_w = _MOST_W

    def _set_averages(self, parameters: str) -> None:
        averages = number(parameters)
        if not 1 <= averages <= 3000:
            raise ScpiError(-222)
        self._set.averages = int(averages)

    def _measure(self) -> None:
        readings = [self._light.metered_mw(self._set.wavelength_nm) for _ in range(self._set.averages)]
        self._last_w = min(1e-3 * sum(readings) / len(readings), self._set.range_w)

    def _measured(self) -> str:
        self._measure()
        return self._shown()

    def _shown(self) -> str:
        if self._set.unit == "W":
            return f"{self._last_w:.8E}"
        return f"{10.0 * log10(self._last_w / 1e-3) if self._last_w > 1e-12 else _LEAST_DBM:.8E}"
