"""The search itself: a description that can be run, and resumed from storage."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property, partial
from types import MappingProxyType
from typing import Any
from weakref import WeakKeyDictionary

import optuna
from lightning.pytorch import LightningDataModule, LightningModule
from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage
from optuna.trial import BaseTrial
from torch import nn

from optuna_nas import datasets, pruners, samplers
from optuna_nas.architecture import Architecture
from optuna_nas.exceptions import DescriptionError
from optuna_nas.model import Classifier
from optuna_nas.objectives import (
    STAGES,
    Metric,
    Objective,
    Parameters,
    Weighted,
    resolve,
)
from optuna_nas.objectives.registry import each_once
from optuna_nas.pruners.callback import Monitor
from optuna_nas.spaces import Joint
from optuna_nas.study.acceleration import precision
from optuna_nas.study.begin import prepare
from optuna_nas.study.budget import Budget
from optuna_nas.study.checks import check_parts
from optuna_nas.study.counting import counters
from optuna_nas.study.crew import in_processes
from optuna_nas.study.description import describe
from optuna_nas.study.estimator import Estimator
from optuna_nas.study.exhaustion import Exhaustion
from optuna_nas.study.feasibility import Feasibility, look
from optuna_nas.study.from_scratch import FromScratch
from optuna_nas.study.hyperparameters import BATCH_SIZE, OURS
from optuna_nas.study.loop import Callbacks, in_turn, run_trials
from optuna_nas.study.opening import connect, working
from optuna_nas.study.remeasure import Progress
from optuna_nas.study.training import OnEpoch, seeded
from optuna_nas.study.transfer import measure_anew
from optuna_nas.study.trial import TrialRun
from optuna_nas.study.workers import Workers

__all__ = ["Search"]


@dataclass(frozen=True, kw_only=True)
class Search:
    """A search for the Pareto front of a space, described once, run and resumed at will.

    Args:
        name: Name of the study.
        space: Draws an `Architecture` or a `torch.nn.Module` from a trial.
        data: The data; the test split is never touched.
        objectives: What a network must be good at, in order; objectives or their names.
        constraints: Quantities that are measured and capped, but not optimised.
        module: Makes the LightningModule to train from the network, and from the hyperparameters
            of a `Joint` space; a classifier by default.
        fidelity: How long a network is trained, at least and at most; on which share of the data
            and at which resolution.
        sampler: `nsga2`, `predictor`, `regularized-evolution`, `local-search`, `reinforce`,
            `tpe`, `gp`, `optuna-nsga2`, `random`, or any sampler; Optuna's own learn as in
            `samplers.MultiFidelity`.
        pruner: `hyperband`, `learning-curve` (stops what is unlikely to end on the front),
            `freeze-thaw` (with `predictor`, which takes paused networks up again), `none`, or any
            Optuna pruner that allows several objectives; `hyperband` by default.
        estimator: How what only trained weights show is found out: by training each network from
            scratch, or, by `supernet.OneShot`, with the weights of one training for all.
        trainer: Further arguments of the Lightning Trainer, such as `precision`: by default bf16
            autocast on a CUDA device that computes in it.
        threads: Threads that PyTorch may use for training; its own choice by default. Small
            networks train faster with 1, and never fight other workers for the cores.
        checkpoints: Folder from which a network that was paused, interrupted or lost is taken up
            again; by default `<name>.checkpoints` beside the study's SQLite file, or in the
            working directory. None for no checkpoints.
        weights: Folder where the weights of networks trained to the end are kept, as safetensors;
            by default they are not.
        seed: Seed of the sampler, of the weights and of the training.
        samples: Untrained networks drawn before a search with caps begins, to see what share of
            the space keeps them; 0 for none.
        trials: Trials of a run that does not say otherwise.
        max_failures: After more failures of one kind in a row the search stops itself.
        smoke: Arguments that differ in a run of seconds; by default few trials and epochs.

    Raises:
        DescriptionError: An unknown name, or parts that do not fit together.
    """

    name: str
    space: Callable[[optuna.Trial], Architecture | nn.Module]
    data: LightningDataModule
    objectives: Sequence[Objective | str]
    constraints: Sequence[Objective | str] = ()
    module: Callable[..., LightningModule] = Classifier
    fidelity: Budget | None = None
    sampler: str | BaseSampler = "nsga2"
    pruner: str | BasePruner | None = None
    estimator: Estimator = field(default_factory=FromScratch)
    trainer: Mapping[str, Any] = field(default_factory=dict)
    threads: int | None = None
    checkpoints: str | os.PathLike[str] | bool | None = True
    weights: str | os.PathLike[str] | None = None
    seed: int = 0
    samples: int = 200
    trials: int = 100
    max_failures: int = 5
    smoke: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        check_parts(self)

    @property
    def budget(self) -> Budget:
        """How long a network is trained, where each is."""
        return self.fidelity or Budget()

    @cached_property
    def optimised(self) -> tuple[Objective, ...]:
        """The objectives, names resolved."""
        return tuple(map(resolve, self.objectives))

    @cached_property
    def capped(self) -> tuple[Objective, ...]:
        """The constraints, names resolved."""
        return tuple(map(resolve, self.constraints))

    @cached_property
    def measured(self) -> tuple[Objective, ...]:
        """Everything a candidate is measured by, in the order in which it is: cheap caps first."""
        everything = each_once((*self.capped, *self.optimised, *self.parts))
        everything.setdefault("parameters", Parameters())

        def when(objective: Objective) -> tuple[int, bool, bool]:
            derived = isinstance(objective, Weighted)
            return STAGES.index(objective.stage), derived, objective.on_device

        return tuple(sorted(everything.values(), key=when))

    @property
    def parts(self) -> tuple[Objective, ...]:
        """What weighted sums among the objectives and constraints are made of."""
        given = (*self.optimised, *self.capped)
        return tuple(part for o in given if isinstance(o, Weighted) for part in o.parts)

    def monitors(self, known: Mapping[str, float]) -> dict[str, Monitor]:
        """Objective name -> the logged metric that fills it while a network trains.

        Args:
            known: Name -> value of what was measured of the network before.
        """
        found: dict[str, Monitor] = {
            o.name: o.monitor for o in self.optimised if isinstance(o, Metric)
        }
        for objective in self.optimised:
            if isinstance(objective, Weighted) and objective.stage == STAGES[-1]:
                found[objective.name] = partial(objective.while_training, known=known)
        return found

    @property
    def on_device(self) -> bool:
        """Whether values of the search depend on the machine."""
        return any(objective.on_device for objective in self.measured)

    @cached_property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input, without the batch."""
        shape: tuple[int, ...] = seeded(datasets.input_shape, self.seed, self.data)
        return shape

    @cached_property
    def outputs(self) -> int | None:
        """Size of a network's output, where the data says it."""
        return datasets.outputs(self.data)

    @cached_property
    def data_fingerprint(self) -> str:
        """Identity of the data and its splits."""
        return str(seeded(datasets.fingerprint, self.seed, self.data))

    @cached_property
    def training_description(self) -> dict[str, Any]:
        """What, beside the network, identifies a training."""
        return {
            "data": self.data_fingerprint,
            "module": describe(self.module),
            **self.estimator.describe(self),
            "trainer": describe(self.trainer),
            "precision": precision(self.trainer),
        }

    @cached_property
    def description(self) -> dict[str, Any]:
        """What is stored with the study, and must not change while it goes on."""
        return {
            "space": describe(self.space),
            "data": {
                "class": type(self.data).__qualname__,
                "fingerprint": self.data_fingerprint,
            },
            "objectives": describe(self.optimised),
            "constraints": describe(self.capped),
            "module": describe(self.module),
            "fidelity": describe(self.budget),
            "sampler": describe(self.sampler),
            "pruner": describe(self._pruner),
            "trainer": describe(self.trainer),
            "seed": self.seed,
        } | self._further

    @property
    def _further(self) -> dict[str, Any]:
        """What is described only of searches that have it: older ones stay what they are."""
        parts = {"parts": describe(self.parts)} if self.parts else {}
        own = type(self.estimator) is not FromScratch
        return parts | (self.estimator.describe(self) if own else {})

    @cached_property
    def prepared(self) -> WeakKeyDictionary[BaseStorage, dict[int, dict[str, BaseDistribution]]]:
        """Parameters of each study that was prepared in this process, and their distributions."""
        return WeakKeyDictionary()

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if key != "prepared"}

    def as_smoke(self) -> Search:
        """The same search in seconds, as a study of its own.

        Raises:
            DescriptionError: `smoke` has an argument that a Search does not.
        """
        smoke = self.estimator.smoke if self.smoke is None else self.smoke
        names = {f.name for f in fields(self)} - {"smoke", "name"}
        if unknown := sorted(set(smoke) - names):
            raise DescriptionError(f"expected smoke={{...}} of {sorted(names)}, got {unknown}")
        return replace(self, name=f"{self.name}-smoke", smoke={}, **smoke)

    def hyperparameters(self, trial: BaseTrial) -> dict[str, Any]:
        """Training hyperparameters of a trial by name, where the space draws some."""
        return self.space.training(trial) if isinstance(self.space, Joint) else {}

    def data_for(self, hyperparameters: Mapping[str, Any]) -> LightningDataModule:
        """The data as a trial is trained on it: in batches of the size that it has drawn."""
        if BATCH_SIZE not in hyperparameters:
            return self.data
        data = copy.copy(self.data)
        setattr(data, BATCH_SIZE, hyperparameters[BATCH_SIZE])
        return data

    def make_module(
        self, network: nn.Module, hyperparameters: Mapping[str, Any] = MappingProxyType({})
    ) -> LightningModule:
        """The LightningModule that trains a network.

        Args:
            network: The network.
            hyperparameters: What a `Joint` space has drawn.
        """
        own = {name: value for name, value in hyperparameters.items() if name not in OURS}
        module = self.module(network, **own)
        if not isinstance(module, LightningModule):
            raise DescriptionError(
                "expected module(network) to return a LightningModule, "
                f"got {type(module).__name__}"
            )
        if isinstance(module, Classifier):
            module.log_also(
                {
                    o.monitor.removeprefix("val_"): o.logged_by
                    for o in self.measured
                    if isinstance(o, Metric) and o.logged_by is not None
                }
            )
        return module

    def study(
        self,
        storage: str | BaseStorage | None = None,
        remeasure: bool = False,
        progress: Progress = lambda done, of: None,
    ) -> optuna.Study:
        """Create the study, or open it to continue.

        Args:
            storage: URL or storage; by default the SQLite file `<name>.db` in this directory.
            remeasure: Whether the trials of a study that was begun on another device are measured
                anew on this one; the old study stays as `<name>@<digest of its device>`.
            progress: Told after each trial that is measured anew, and of how many.

        Raises:
            StudyError: The storage cannot be opened, or holds another search under this name.
        """
        directions = [o.direction for o in self.optimised]
        opened = connect(storage or f"sqlite:///{self.name}.db")
        with working(storage or opened):
            if remeasure:
                measure_anew(self, opened, progress)
            study = optuna.create_study(
                study_name=self.name,
                storage=opened,
                directions=directions,
                sampler=self.make_sampler(),
                pruner=self.make_pruner(),
                load_if_exists=True,
            )
        prepare(self, study)
        return study

    def feasibility(self, samples: int | None = None) -> Feasibility:
        """See on untrained networks, drawn at random, what share of the space keeps the caps.

        Args:
            samples: How many to draw; `self.samples` by default.
        """
        return look(self, self.samples if samples is None else samples)

    def objective(self, trial: optuna.Trial, on_epoch: OnEpoch | None = None) -> list[float]:
        """Run one trial: a plain Optuna objective, for those who hold the loop themselves.

        Args:
            trial: A running trial of the study that `study` returned.
            on_epoch: As in `run`.
        """
        return TrialRun(self, trial, on_epoch)()

    def run(
        self,
        trials: int | None = None,
        storage: str | BaseStorage | None = None,
        timeout: float | None = None,
        until: int | None = None,
        callbacks: Callbacks = (),
        on_epoch: OnEpoch | None = None,
        remeasure: bool = False,
        workers: int | Workers | None = None,
    ) -> optuna.Study:
        """Start the search, or go on with it.

        It ends where the space has nothing new: a sampler that repeats itself is given a network
        that was not tried, and where there is none, the study's attribute `exhausted` says so.

        Args:
            trials: Trials to run now, beside those in storage; `self.trials` by default.
            storage: URL or storage; by default the SQLite file `<name>.db` in this directory.
            timeout: Seconds after which no further trial begins.
            until: Trials of the study, those of all workers on it, after which none begins here.
            callbacks: Called with the study and each trial that ends here, as in Optuna.
            on_epoch: Called with the trial's number, the epochs trained and the values reported.
            remeasure: As in `study`.
            workers: Processes that share the trials, so that one that crashes harms no other;
                all in this process by default.

        Raises:
            DescriptionError: The search, its storage or this machine is not for so many workers.
            StudyError: The study in storage belongs to another search, or to another machine.
            SearchStopped: Too many trials in a row failed for the same reason, or too many
                workers died.
            TrainingError: The supernet of a one-shot search cannot be trained.
            KeyboardInterrupt: The user stopped it; the running trial is marked and goes on next
                time.
        """
        study = self.study(storage, remeasure)
        self.estimator.prepare(self, study, on_epoch)
        count = self.trials if trials is None else trials
        if isinstance(workers, int):
            workers = Workers(workers)
        run_trials(
            study,
            in_turn(partial(self.objective, on_epoch=on_epoch))
            if workers is None
            else in_processes(self, workers, on_epoch),
            count,
            timeout,
            until,
            callbacks,
            self.max_failures,
            Exhaustion(self),
        )
        return study

    def make_sampler(self) -> BaseSampler:
        """A sampler of this search that has seen nothing.

        Raises:
            DescriptionError: There is none of that name.
        """
        if isinstance(self.sampler, BaseSampler):
            return samplers.given(self.sampler, self.seed)
        return samplers.by_name(self.sampler, self.seed, self.space, counters(self))

    def make_pruner(self) -> BasePruner:
        """A pruner of this search.

        Raises:
            DescriptionError: There is none of that name.
        """
        if isinstance(self._pruner, BasePruner):
            return copy.deepcopy(self._pruner)
        return pruners.by_name(self._pruner, self.budget.min_epochs, self.budget.max_epochs)

    @property
    def _pruner(self) -> str | BasePruner:
        return self.estimator.pruner if self.pruner is None else self.pruner
