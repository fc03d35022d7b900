"""What a search is: its parts as they were given, and what follows from them."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from types import MappingProxyType
from typing import Any

import optuna
from lightning.pytorch import LightningDataModule, LightningModule
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
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
from optuna_nas.study.budget import Budget
from optuna_nas.study.checks import check_parts
from optuna_nas.study.counting import counters
from optuna_nas.study.description import describe
from optuna_nas.study.estimator import Estimator
from optuna_nas.study.from_scratch import FromScratch
from optuna_nas.study.hyperparameters import BATCH_SIZE, OURS
from optuna_nas.study.loggers import MakeLogger
from optuna_nas.study.training import seeded

__all__ = ["Definition"]


@dataclass(frozen=True, kw_only=True)
class Definition:
    """The parts of a search, which are the arguments of `Search`, and what follows from them."""

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
    quota: int | None = None
    time_limit: float | None = None
    logger: MakeLogger | None = None
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
