"""Training each network from scratch, with the pruner watching, which is what a search does."""

from __future__ import annotations

import gc
import math
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import optuna
import torch
from lightning.pytorch import LightningDataModule
from lightning.pytorch.loggers import Logger

from optuna_nas import samplers
from optuna_nas.exceptions import DescriptionError
from optuna_nas.objectives import Candidate
from optuna_nas.pruners import FreezeThaw
from optuna_nas.pruners.callback import PruningCallback
from optuna_nas.study.bucket import place_of
from optuna_nas.study.budget import Budget
from optuna_nas.study.checkpoints import Checkpoints, Resumed, Saved
from optuna_nas.study.energy import EnergyCount
from optuna_nas.study.estimator import Estimation, Estimator
from optuna_nas.study.loggers import logging_to
from optuna_nas.study.mishaps import Diverged, in_smaller_steps, is_out_of_memory
from optuna_nas.study.training import OnEpoch, fit

if TYPE_CHECKING:
    from optuna_nas.study.definition import Definition
    from optuna_nas.study.search import Search
    from optuna_nas.study.trial import TrialRun

__all__ = ["FromScratch", "Training"]


@dataclass(frozen=True)
class FromScratch(Estimator):
    """Trains each network from weights at random, for as long as the pruner lets it."""

    pruner: ClassVar[str] = "hyperband"

    @property
    def smoke(self) -> Mapping[str, Any]:
        return {"trials": 12, "fidelity": Budget((1, 2))}

    def check(self, search: Definition) -> None:
        thaws = isinstance(search.make_pruner(), FreezeThaw)
        if thaws and not isinstance(search.make_sampler(), samplers.Predictor):
            raise DescriptionError(
                "expected a sampler that takes paused networks up again beside "
                f"pruner='freeze-thaw', got {search.sampler!r}; use sampler='predictor'"
            )

    def describe(self, search: Definition) -> dict[str, Any]:
        return dict(search.budget.describe_training())

    def prepare(self, search: Search, study: optuna.Study, on_epoch: OnEpoch | None) -> None:
        """Nothing: each trial is on its own."""

    def begin(self, run: TrialRun, identity: str) -> Estimation:
        return Training(run, identity)


class Training(Estimation):
    """The training of one trial's network, from its latest checkpoint where it has one.

    Args:
        run: The trial.
        identity: Of the training.
    """

    outcome: ClassVar[str] = "trained"

    def __init__(self, run: TrialRun, identity: str) -> None:
        self._run = run
        self._reached = 0
        self._resumed = Resumed()
        self._paused = False
        self._begun = False
        self._energy = EnergyCount()
        study = run.trial.study
        place = place_of(run.search.checkpoints, study.study_name, study._storage)
        name = f"{run.root}-{identity[:12]}-{run.seed:08x}"
        self._saved = None if place is None else Saved(place, name, identity)

    @property
    def epochs(self) -> int:
        """Epochs trained by this trial, less what it goes on from."""
        return self._reached - self._resumed.epochs

    @property
    def joules(self) -> float | None:
        return self._energy.joules

    @property
    def ended(self) -> str:
        return f"trained to the end, {self._reached} epochs"

    def __call__(self, candidate: Candidate) -> Mapping[str, float]:
        search = self._run.search
        data = search.data_for(self._run.hyperparameters)
        try:
            return self._fit(candidate, data, search.trainer)
        except Diverged as error:
            self._reject("finite loss", str(error))
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            reason = f"out of memory: {error}"[:500]
        gc.collect()  # the error has held what filled the memory
        torch.cuda.empty_cache()
        smaller = in_smaller_steps(data, search.trainer)
        if smaller is None:
            self._reject("memory", reason)
        self._run.note("retried", {"reason": reason, "batch_size": vars(smaller[0])["batch_size"]})
        candidate.renew(self._run.draw)
        try:
            return self._fit(candidate, *smaller)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            self._reject("memory", f"{reason}; with half the batch, too")

    def _reject(self, name: str, reason: str) -> NoReturn:
        """End the trial so that every sampler learns from it, as from a cap that is broken."""
        self._run.trial.set_constraint(name, 1.0)
        raise optuna.TrialPruned(reason)

    def _fit(
        self, candidate: Candidate, data: LightningDataModule, arguments: Mapping[str, Any]
    ) -> Mapping[str, float]:
        run, search = self._run, self._run.search
        monitors = search.monitors({n: m["value"] for n, m in run.measurements.items()})
        run.note("measurements", run.measurements)
        # What is neither known nor logged at a rung is reported as a constant: it decides nothing.
        known = {
            o.name: run.measurements.get(o.name, {}).get("value", 0.0)
            for o in search.optimised
            if o.name not in monitors
        }
        pruning = PruningCallback(run.trial, monitors, known, run.on_epoch)
        checkpoints = self._checkpoints(pruning)
        try:
            with self._logger() as logger:
                return fit(
                    partial(search.make_module, hyperparameters=run.hyperparameters),
                    candidate.network,
                    candidate.input_shape,
                    data,
                    pruning,
                    budget=search.budget,
                    seed=run.seed,
                    data_seed=search.seed,
                    arguments=arguments,
                    threads=search.threads,
                    checkpoints=checkpoints,
                    beside=[self._energy],
                    logger=logger,
                )
        finally:
            self._reached = max(pruning.epochs, self._resumed.epochs)
            finite = all(map(math.isfinite, pruning.metrics.values()))
            self._paused = self._pauses and pruning.pruned and finite

    def end(self, outcome: str) -> None:
        left = self._begun or self._continues
        if self._saved is not None and left and outcome != "interrupted" and not self._paused:
            self._saved.remove()

    @property
    def _continues(self) -> bool:
        """Whether an earlier trial may have left a checkpoint."""
        return "continues" in self._run.trial.user_attrs

    @property
    def _pauses(self) -> bool:
        """Whether a network that the pruner stops may be taken up again."""
        return isinstance(self._run.trial.study.pruner, FreezeThaw)

    def _logger(self) -> AbstractContextManager[Logger | None]:
        trial = self._run.trial
        about = {"trial": trial.number, "network": trial.user_attrs["network"], **trial.params}
        measured = {name: m["value"] for name, m in self._run.measurements.items()}
        name = trial.study.study_name
        return logging_to(self._run.search.logger, name, self._run.root, about, measured)

    def _checkpoints(self, pruning: PruningCallback) -> Checkpoints | None:
        """What saves the training, once it is known what it goes on from."""
        if self._saved is None:
            return None
        self._begun = True
        if self._continues:
            self._resumed = self._saved.read()
            self._run.note("resumed", self._resumed.as_json())
        return Checkpoints(
            self._saved, pruning, self._pauses, self._resumed, self._run.search.quota
        )
