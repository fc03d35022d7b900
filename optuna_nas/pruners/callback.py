"""Reports a Lightning training to the study's pruner after every validated epoch."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from threading import Thread
from typing import Any

import optuna
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.strategies.launchers import _SubprocessScriptLauncher
from optuna.trial import BaseTrial, Trial

from optuna_nas.exceptions import DescriptionError, TrainingError
from optuna_nas.pruners.curve import bare, in_order, report, should_prune
from optuna_nas.pruners.link import Link, serve

__all__ = ["Monitor", "PruningCallback", "refuse_relaunch"]

Monitor = str | Callable[[Mapping[str, Any]], float]
"""A logged metric, or what makes a number of all that are logged."""


class PruningCallback(Callback):
    """Reports the monitored metrics after every validated epoch, and prunes the trial.

    The step is the number of epochs finished; sanity checks are ignored, and a model without
    validation reports every epoch. The last epoch of the trainer is reported, but not judged:
    what has been trained to the end is not thrown away. In a single process `optuna.TrialPruned`
    ends the fit. With several, rank 0 alone reports and decides, every rank stops, and
    `check_pruned` raises after the fit; spawned processes reach the trial in the process that
    made this callback, so every storage will do. Log metrics with `sync_dist=True` there.

    Args:
        trial: The running trial; None on ranks other than 0 where the launcher runs the script
            several times (torchrun).
        monitor: Logged metric, or metrics, or objective name -> logged metric, or a function of
            all that is logged. A metric named as an objective fills it, any other the next one
            that is not in `known`.
        known: Objective name -> value that training does not change. Where the study has no
            metric names, the monitored objectives come first.
        on_epoch: Told the epochs finished and the values reported, in the process of the trial.

    Attributes:
        epochs: Epochs finished when last reported.
        metrics: Objective name -> value last reported.
        pruned: Whether the pruner has stopped the trial.

    Raises:
        DescriptionError: An objective is monitored and known.
        ReportError: Monitored and known do not make up the study's objectives.
    """

    def __init__(
        self,
        trial: BaseTrial | None,
        monitor: str | Sequence[str] | Mapping[str, Monitor],
        known: Mapping[str, float] | None = None,
        on_epoch: Callable[[int, Mapping[str, float]], None] | None = None,
    ) -> None:
        self.epochs = 0
        self.metrics: dict[str, float] = {}
        self.pruned = False
        self._trial = trial
        self._on_epoch = on_epoch
        self._known = dict(known or {})
        self._monitors = _fill(trial, monitor, self._known)
        self._link: Link | None = None
        self._server: tuple[Link, Thread] | None = None
        self._process = os.getpid()
        self._validated = False

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse a forked copy: it could not reach its trial."""
        if self._link is None and os.getpid() != self._process:
            raise DescriptionError(
                "expected a strategy that spawns its processes, got one that forks; "
                "use strategy='ddp_spawn' or torchrun"
            )

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note that the metrics of this epoch are new."""
        self._validated = not trainer.sanity_checking

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report, and stop where the pruner says so.

        Raises:
            TrainingError: A monitored metric was not logged.
        """
        if self.pruned or (trainer.enable_validation and not self._validated):
            return
        self._validated = False
        epochs, values = trainer.current_epoch + 1, self._values(trainer)
        judged = epochs != trainer.max_epochs
        if trainer.world_size > 1:
            self.pruned = self._judge_together(trainer, epochs, values, judged)
        else:
            self.pruned = self._judge(epochs, values, judged)
        trainer.should_stop = trainer.should_stop or self.pruned

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End a training that has to go on, for `min_epochs`, though it is pruned.

        Raises:
            optuna.TrialPruned: The trial is pruned, in a single process.
        """
        self.on_train_end(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End the fit of a pruned trial, once everybody has had the end of the epoch.

        Raises:
            optuna.TrialPruned: The trial is pruned, in a single process.
        """
        if trainer.world_size == 1 and self._link is None:
            self.check_pruned()

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of it."""
        return {"epochs": self.epochs, "metrics": self.metrics}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.epochs, self.metrics = state_dict["epochs"], dict(state_dict["metrics"])

    def check_pruned(self) -> None:
        """Raise if the trial was pruned: to be called after a fit with several processes.

        Raises:
            optuna.TrialPruned: It was.
        """
        if self.pruned:
            odd = [name for name, value in self.metrics.items() if math.isnan(value)]
            reason = f": {', '.join(odd)} is NaN" if odd else ""
            raise optuna.TrialPruned(f"pruned after epoch {self.epochs}{reason}")

    def _values(self, trainer: Trainer) -> dict[str, float]:
        logged = trainer.callback_metrics
        wanted = [name for name in self._monitors.values() if isinstance(name, str)]
        missing = [name for name in wanted if name not in logged]
        if missing:
            raise TrainingError(
                f"expected the training to log {missing}, got {sorted(logged)}; "
                "log it by self.log(...) in validation_step, or monitor another metric"
            )
        monitored = {
            key: float(logged[monitor] if isinstance(monitor, str) else monitor(logged))
            for key, monitor in self._monitors.items()
        }
        return monitored | self._known

    def _judge(self, epochs: int, values: Mapping[str, float], judged: bool) -> bool:
        self.epochs, self.metrics = epochs, dict(values)
        if self._link is not None:
            return bool(self._link(epochs, values, judged))
        if self._on_epoch is not None:
            self._on_epoch(epochs, values)
        if self._trial is not None:
            report(self._trial, epochs, values)
            self.pruned = judged and should_prune(self._trial)
        return self.pruned

    def _judge_together(
        self, trainer: Trainer, epochs: int, values: Mapping[str, float], judged: bool
    ) -> bool:
        verdict: bool | str = False
        failure: Exception | None = None
        if trainer.is_global_zero:
            try:
                verdict = self._judge(epochs, values, judged)
            except Exception as error:  # the other ranks wait for an answer
                verdict, failure = f"{type(error).__name__}: {error}", error
        self.epochs, self.metrics = epochs, dict(values)
        verdict = trainer.strategy.broadcast(verdict)
        if isinstance(verdict, str):
            raise failure or TrainingError(f"rank 0 could not report: {verdict}")
        return verdict

    def __getstate__(self) -> dict[str, Any]:
        # A spawned process gets a link to this one instead of a copy of the trial.
        own = {"_trial": None, "_on_epoch": None, "_server": None, "_link": self._serve()}
        return self.__dict__ | own

    def _serve(self) -> Link:
        if self._link is not None:
            return self._link
        if self._server is None or not self._server[1].is_alive():
            self._server = serve(self._judge)
        return self._server[0]


def refuse_relaunch(trainer: Trainer) -> None:
    """Refuse a strategy that would run the whole script, and so the search, once a device.

    Raises:
        DescriptionError: The trainer relaunches the script.
    """
    launcher = trainer.strategy.launcher
    if (
        isinstance(launcher, _SubprocessScriptLauncher)
        and not launcher.cluster_environment.creates_processes_externally
    ):
        raise DescriptionError(
            "expected a strategy that does not run the script again for every device, got "
            f"{type(trainer.strategy).__name__}; use strategy='ddp_spawn', or devices=1"
        )


def _fill(
    trial: BaseTrial | None,
    monitor: str | Sequence[str] | Mapping[str, Monitor],
    known: Mapping[str, float],
) -> dict[str, Monitor]:
    """Objective name -> logged metric, or function of those logged, that fills it."""
    study = trial.study if isinstance(trial, Trial) else None
    filled = dict(monitor) if isinstance(monitor, Mapping) else {}
    if not isinstance(monitor, Mapping):
        metrics = [monitor] if isinstance(monitor, str) else list(monitor)
        named = study.metric_names if study is not None else None
        names = metrics if named is None else [bare(name) for name in named]
        taken = {*map(bare, known), *metrics}
        free = iter([name for name in names if name not in taken])
        filled = {name if name in names else next(free, name): name for name in metrics}
    if twice := sorted(filled.keys() & known.keys()):
        raise DescriptionError(f"expected {twice} to be monitored or known, got both")
    if study is not None:
        in_order(dict.fromkeys(filled, 0.0) | dict(known), study)
    return filled
