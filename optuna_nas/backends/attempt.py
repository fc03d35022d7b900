"""Calling exporters and compilers: quietly, with one readable line where they give up."""

from __future__ import annotations

import io
import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr

from optuna_nas.exceptions import MeasurementError, NASError

__all__ = ["attempt"]

_WARNINGS: dict[str, type[Warning]] = {
    "`isinstance.treespec, LeafSpec.`": FutureWarning,
    "`torch.jit.script_method`": DeprecationWarning,
}
"""What PyTorch warns itself of."""

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@contextmanager
def attempt(what_fails: str, *noisy: str) -> Iterator[None]:
    """Turn whatever is raised into a MeasurementError, and say nothing else.

    Args:
        what_fails: Beginning of the message, before the reason.
        *noisy: Names of loggers that say it all in pages.

    Raises:
        MeasurementError: With the kind and the first line of the error that caused all others.
    """
    loggers = [logger for name in noisy if not (logger := logging.getLogger(name)).disabled]
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            for message, category in _WARNINGS.items():
                warnings.filterwarnings("ignore", message, category)
            for logger in loggers:
                logger.disabled = True
            yield
    except NASError:
        raise
    except Exception as error:
        raise MeasurementError(f"{what_fails}: {_reason(error)}") from error
    finally:
        for logger in loggers:
            logger.disabled = False


def _reason(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in _COLOUR.sub("", str(error)).splitlines() if line.strip()]
    said = lines[: 2 if lines and lines[0].endswith(":") else 1]
    return ": ".join([type(error).__name__, *(line.rstrip(":") for line in said)])
