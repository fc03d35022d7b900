"""Loggers of trainings: TensorBoard, MLflow, W&B, or any other that Lightning has."""

from __future__ import annotations

import csv
import io
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import CSVLogger, Logger

from optuna_nas.exceptions import DescriptionError

__all__ = ["MakeLogger", "logging_to"]

MakeLogger = Callable[[str, int], Logger]
"""Makes the logger of a training from the name of its study and the number of its trial.

A trial that continues another has the number of the first one, so that its curve goes on where
that ended. Where a logger can only be told so by an id, make the id of the two, as in
`WandbLogger(group=study, id=f"{study}-{trial}", resume="allow")`."""

CLOSING = ("finish", "end", "stop")
"""What W&B, Comet and Neptune call the end of a run; two cannot be open in one process."""


@contextmanager
def logging_to(
    make: MakeLogger | None,
    study: str,
    trial: int,
    about: Mapping[str, Any],
    measured: Mapping[str, float],
) -> Iterator[Logger | None]:
    """The logger of a training, open until the block ends.

    Args:
        make: Makes it; None for none.
        study: Name of the study.
        trial: Number of the first trial of the network's lineage.
        about: What is logged as hyperparameters; `trial`, where it has one, is that which runs.
        measured: Name -> value of what was measured before training, logged as `measured/<name>`.

    Raises:
        DescriptionError: What was made is no logger.
    """
    if make is None:
        yield None
        return
    logger = make(study, trial)
    if not isinstance(logger, Logger):
        raise DescriptionError(
            "expected logger(study, trial) to return a Lightning Logger, "
            f"got {type(logger).__name__}"
        )
    if isinstance(logger, CSVLogger) and about.get("trial") != trial:
        _go_on(logger)
    logger.log_hyperparams(dict(about))
    if measured:
        logger.log_metrics({f"measured/{name}": value for name, value in measured.items()}, 0)
    try:
        yield logger
    finally:
        experiment = getattr(logger, "experiment", None)
        for close in (getattr(experiment, name, None) for name in CLOSING):
            if callable(close):
                close()


def _go_on(logger: CSVLogger) -> None:
    """Keep what was logged before the training was taken up again, which Lightning would delete.

    Rows after the checkpoint that it goes on from are there twice: as they were, and anew.
    """
    path = Path(logger.log_dir, "metrics.csv")
    kept = path.with_suffix(".kept")
    if path.is_file():
        os.replace(path, kept)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Experiment logs directory .* is not empty")
        writer = logger.experiment
    if kept.is_file():  # also where a process died between the two
        os.replace(kept, path)
        header = path.read_text().partition("\n")[0]
        writer.metrics_keys = next(csv.reader(io.StringIO(header)), [])
