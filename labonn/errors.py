"""Everything that labonn raises on purpose, and the exit code that each kind ends a command with.

A message says what was being done, with what value, what was expected, and what to try; operators see it as it is.
"""


class LabonnError(Exception):
    """A failure with a message for the operator; the root of the tree."""

    exit_code = 1


class ConfigError(LabonnError):
    """A file or an argument is wrong; nothing was touched."""

    exit_code = 2


class DataError(LabonnError):
    """A data set is missing, incomplete or not what its publisher's checksum says."""

    exit_code = 2


class RecordError(LabonnError):
    """A run, a release or a file of frames cannot be read or written."""


class TrainingError(LabonnError):
    """A training cannot be done or has diverged."""


class CalibrationError(LabonnError):
    """A calibration failed, is missing or does not fit what is on the bench."""


class InstrumentError(LabonnError):
    """An instrument failed, did not answer in time or answered nonsense; the bench was made dark."""

    exit_code = 3


class StaleFrameError(InstrumentError):
    """A camera delivered a frame of something that is no longer shown."""


class InterlockTripped(InstrumentError):
    """A reading left the range in which the bench may be lit."""


class ReleaseRefused(LabonnError):
    """The gate could not show that the new backend does no harm; the current release stands."""

    exit_code = 4


class BenchInUse(LabonnError):
    """Another process holds the bench."""

    exit_code = 5


class Aborted(LabonnError):
    """The operator asked the run to stop; the bench was made dark."""

    exit_code = 130
