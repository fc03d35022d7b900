"""One trial of a search: draw, identify, measure what is cheap, train, measure the rest."""

from __future__ import annotations

import json
import math
import threading
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import optuna
from optuna.trial import FrozenTrial, TrialState
from torch import nn

from optuna_nas.architecture import Architecture
from optuna_nas.exceptions import SpaceError, TrainingError
from optuna_nas.measuring import device
from optuna_nas.objectives import STAGES, Candidate, Measurement, Objective
from optuna_nas.pruners.lineages import Lineages
from optuna_nas.spaces.joint import network_parameters
from optuna_nas.study import description, lease
from optuna_nas.study.begin import check_distributions, prepare
from optuna_nas.study.estimator import Estimation
from optuna_nas.study.hyperparameters import SEED
from optuna_nas.study.mishaps import within
from optuna_nas.study.record import noted
from optuna_nas.study.storages.opening import failed_storage, masked
from optuna_nas.study.training import OnEpoch, seeded, seeded_setup
from optuna_nas.study.weights import save_weights, weights_path

if TYPE_CHECKING:
    from optuna_nas.study.search import Search

__all__ = ["TrialRun"]

# Random numbers and thread counts belong to the process: a second trial beside would change both.
# What a trial waits for may be trials itself: those by which a sampler and a supernet are trained.
_ONE_AT_A_TIME = threading.RLock()


class TrialRun:
    """A trial on its way through a search.

    Args:
        search: The search it belongs to.
        trial: The trial, just asked for.
        on_epoch: Told of each epoch trained.

    Attributes:
        root: Number of the first trial of the network's lineage.
        seed: Seed of the network's weights and of its training.
        measurements: Name of an objective -> what was measured so far, as it is recorded.
        hyperparameters: Of the training, by name, where the space draws some.
        on_epoch: Told of each epoch that this trial has trained.
    """

    def __init__(
        self,
        search: Search,
        trial: optuna.Trial,
        on_epoch: OnEpoch | None = None,
    ) -> None:
        self.search = search
        self.trial = trial
        self.on_epoch = None if on_epoch is None else partial(on_epoch, trial.number)
        self._on_epoch = on_epoch
        self.root = _root(trial)
        self.seed = int(description.digest([search.seed, self.root])[:8], 16)
        self.measurements: dict[str, dict[str, Any]] = {}
        self.hyperparameters: dict[str, Any] = {}
        self._estimation: Estimation | None = None
        self._measuring = 0.0

    def __call__(self) -> list[float]:
        """Run the trial and return its objective values, in the order of the search.

        Raises:
            optuna.TrialPruned: It was pruned at a rung, rejected by a cap, or is equal to a trial
                that was.
            Exception: Whatever went wrong inside it, with the reason in storage.
        """
        with (
            _ONE_AT_A_TIME,
            self._recorded(),
            lease.hold(self.trial),
            within(self.search.time_limit),
        ):
            prepare(self.search, self.trial.study)
            self.search.estimator.prepare(self.search, self.trial.study, self._on_epoch)
            drawn = self.draw()
            identity = self._identify(drawn)
            estimation = self._estimation = self.search.estimator.begin(self, identity)
            earlier = self._earlier(identity)
            if earlier is not None:
                return self._reuse(earlier)
            candidate = Candidate(
                drawn,
                self.search.input_shape,
                self.search.outputs,
                seed=self.seed,
                data=self.search.data,
                calibrations=self.trial.study.user_attrs["calibrations"],
            )
            with seeded_setup(self.search.data, self.search.seed):
                for stage in STAGES[:-1]:
                    self._measure(candidate, stage)
            if any(o.stage == STAGES[-1] for o in self.search.measured):
                candidate.metrics = estimation(candidate)
                if self.search.weights is not None:
                    path = weights_path(self.search.weights, identity, self.seed)
                    save_weights(candidate.network, path)
            with seeded_setup(self.search.data, self.search.seed):
                seeded(self._measure, self.seed, candidate, STAGES[-1])
            self._end(estimation.outcome, estimation.ended)
            return [self.measurements[o.name]["value"] for o in self.search.optimised]

    def note(self, key: str, value: Any) -> None:
        """Leave something in the record of the trial."""
        self.trial.set_user_attr(key, value)

    def draw(self) -> Architecture | nn.Module:
        """Draw the network; the same one whenever it is asked."""
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="Inconsistent parameter values")
            try:
                drawn = seeded(self.search.space, self.seed, self.trial)
            except RuntimeWarning as warning:
                raise SpaceError(
                    f"expected one distribution for each parameter name, got two: {warning} "
                    "Give a choice that depends on another a name that says so."
                ) from None
        if not isinstance(drawn, Architecture | nn.Module):
            raise SpaceError(
                "expected the space to return an Architecture or a torch.nn.Module, "
                f"got {type(drawn).__name__}"
            )
        check_distributions(self.search, self.trial)
        self.hyperparameters = self.search.hyperparameters(self.trial)
        self.seed = self.hyperparameters.get(SEED, self.seed)
        return drawn

    def _identify(self, drawn: Architecture | nn.Module) -> str:
        """Record which network this is, and return the identity of its training."""
        parameters = network_parameters(self.trial.params)
        line = " ".join(f"{name}={value}" for name, value in parameters.items())
        if isinstance(drawn, Architecture):
            line = drawn.describe()
            self.note("architecture", json.loads(drawn.to_json()))
        space = self.search.description["space"]
        digest = description.network_digest(drawn, parameters, space)
        trained = [self.hyperparameters] if self.hyperparameters else []
        identity = description.digest([digest, self.search.training_description, *trained])
        self.note("network", line)
        self.note("digest", digest)
        self.note("training", identity)
        if self.hyperparameters:
            self.note("hyperparameters", self.hyperparameters)
        self.note(
            "provenance",
            {"seed": self.seed, "device": device.fingerprint(), "versions": device.versions()},
        )
        return identity

    def _earlier(self, identity: str) -> FrozenTrial | None:
        """Find a trial that already did this training, is at it, or was rejected before it.

        A trial that this one continues was stopped on the way: that is no training done. But where
        two hosts took the same one up at once, the first goes on.
        """
        own, continued = _root(self.trial), self.trial.user_attrs.get("continues", -1)
        lineages = Lineages(self.trial.study)
        states = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
        for trial in self.trial.study.get_trials(deepcopy=False, states=states):
            attrs = trial.user_attrs
            same = attrs.get("training") == identity and "reused_from" not in attrs
            other = lineages.root(trial) != own or attrs.get("continues") == continued
            if same and other and self._is_ahead(trial):
                return trial
        return None

    def _is_ahead(self, trial: FrozenTrial) -> bool:
        """Whether it has ended, or is at its training, or will be before this one."""
        begun = trial.number < self.trial.number or "measurements" in trial.user_attrs
        return trial.state.is_finished() or begun

    def _reuse(self, earlier: FrozenTrial) -> list[float]:
        self.note("reused_from", earlier.number)
        self.measurements = dict(earlier.user_attrs.get("measurements", {}))
        for name, value in earlier.constraints.items():
            self.trial.set_constraint(name, value)
        ended = earlier.user_attrs.get("ended", "it is being trained")
        self._end("reused", f"equal to trial {earlier.number}: {ended}")
        if earlier.state != TrialState.COMPLETE:
            raise optuna.TrialPruned(f"equal to trial {earlier.number}, which has no values")
        return list(earlier.values)

    def _measure(self, candidate: Candidate, stage: str) -> None:
        """Measure everything of a stage; the first broken cap rejects the candidate."""
        for objective in self.search.measured:
            if objective.stage != stage:
                continue
            began = time.monotonic()
            measurement = objective(candidate)
            self._measuring += objective.on_device * (time.monotonic() - began)
            candidate.measured[objective.name] = measurement
            self._note(objective, measurement)
            violation = objective.violation(measurement.value)
            if violation is None:
                continue
            self.trial.set_constraint(objective.name, violation)
            if violation > 0:
                self._reject(objective, measurement.value)

    def _reject(self, objective: Objective, value: float) -> None:
        bound = f"at most {objective.max}" if objective.max is not None else ""
        floor = f"at least {objective.min}" if objective.min is not None else ""
        wanted = " and ".join(filter(None, (bound, floor)))
        reason = f"{objective.name} {value:g} {objective.unit}, wanted {wanted}"
        self._end("rejected", reason)
        raise optuna.TrialPruned(reason)

    def _note(self, objective: Objective, measurement: Measurement) -> None:
        if math.isnan(measurement.value):
            raise TrainingError(f"expected a number for {objective.name}, got NaN")
        found = self.measurements[objective.name] = noted(objective, measurement)
        if objective.stage == STAGES[-1] and self._estimation is not None:
            found |= self._estimation.details

    @contextmanager
    def _recorded(self) -> Iterator[None]:
        """Leave in storage why the trial ended, whatever ends it."""
        self.started = time.monotonic()
        self.ended = False
        try:
            yield
        except optuna.TrialPruned as pruned:
            if not self.ended:
                self._end("pruned", str(pruned))
            raise
        except KeyboardInterrupt:
            self._end("interrupted", "interrupted by the user")
            raise
        except Exception as error:
            if failed_storage(error):  # no fault of the network: it is taken up again
                self._end("interrupted", masked(f"the storage failed: {error}")[:2000])
                raise
            self.note("traceback", masked("".join(traceback.format_exception(error)))[-8000:])
            self._end("failed", masked(f"{type(error).__name__}: {error}")[:2000])
            raise

    def _end(self, outcome: str, reason: str) -> None:
        self.ended = True
        self.note("measurements", self.measurements)
        seconds = time.monotonic() - self.started
        spent = {"epochs": 0, "seconds": round(seconds, 3)}
        if self._measuring:
            spent["measuring"] = round(self._measuring, 3)
        if self._estimation is not None:
            spent["epochs"] = self._estimation.epochs
            if (joules := self._estimation.joules) is not None:
                spent["joules"] = joules
        self.note("spent", spent)
        self.note("ended", reason)
        self.note("outcome", outcome)
        if self._estimation is not None:
            if outcome != "interrupted":  # all is written before what it could go on from is gone
                self.trial.study._storage.get_trial(self.trial._trial_id)
            self._estimation.end(outcome)


def _root(trial: optuna.Trial) -> int:
    """Number of the first trial of the lineage: a network taken up again is the same training."""
    if "continues" not in trial.user_attrs:
        return trial.number
    return Lineages(trial.study).root(trial.study._storage.get_trial(trial._trial_id))
