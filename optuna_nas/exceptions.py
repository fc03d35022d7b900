"""Every error that optuna_nas raises on purpose.

NASError
├── SpaceError         a space, block or architecture that cannot be built (also a ValueError)
├── ReportError        values reported for a trial that do not fit its study (also a ValueError)
├── DescriptionError   a Search, or a part of it, described wrongly (also a ValueError)
├── DataError          data that cannot be split, loaded or read (also a ValueError)
├── MeasurementError   a quantity that cannot be measured here
│   └── NotInstalledError  since an optional package is missing
├── TrainingError      a training that went wrong: NaN loss, a monitor never logged
└── StudyError         a stored study that cannot be opened or resumed
    ├── SealedError    a test split that was used already
    └── SearchStopped  the search stopped itself: too many equal failures in a row
"""

__all__ = [
    "DataError",
    "DescriptionError",
    "MeasurementError",
    "NASError",
    "NotInstalledError",
    "ReportError",
    "SealedError",
    "SearchStopped",
    "SpaceError",
    "StudyError",
    "TrainingError",
]


class NASError(Exception):
    """Base of every error raised by optuna_nas."""


class SpaceError(NASError, ValueError):
    """A space, block or architecture that cannot be built."""


class ReportError(NASError, ValueError):
    """Values reported for a trial that do not fit the objectives of its study."""


class DescriptionError(NASError, ValueError):
    """A Search, or a part of it, described wrongly."""


class DataError(NASError, ValueError):
    """Data that cannot be split, loaded or read."""


class MeasurementError(NASError):
    """A quantity that cannot be measured on this machine, or not reliably."""


class NotInstalledError(MeasurementError):
    """What needs an optional package that is not installed."""


class TrainingError(NASError):
    """A training that went wrong: a NaN loss, a monitored metric that was never logged."""


class StudyError(NASError):
    """A stored study that cannot be opened or resumed."""


class SealedError(StudyError):
    """A test split that was used for a finalist already."""


class SearchStopped(StudyError):
    """The search stopped itself, for example after too many equal failures in a row."""
