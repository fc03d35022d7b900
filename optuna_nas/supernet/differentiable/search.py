"""The search by gradients, described once, run and resumed at will."""

from __future__ import annotations

import copy
import math
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, LambdaCallback
from torch import nn

from optuna_nas import datasets
from optuna_nas.exceptions import DescriptionError
from optuna_nas.model import Classifier
from optuna_nas.names import choose
from optuna_nas.study.description import describe
from optuna_nas.study.give_way import GiveWay
from optuna_nas.study.training import (
    TRAINER,
    calm,
    interruptible,
    seeded,
    seeded_setup,
    using_threads,
)
from optuna_nas.supernet.differentiable.alphas import Alphas
from optuna_nas.supernet.differentiable.bilevel import Bilevel
from optuna_nas.supernet.differentiable.checkpoint import Saved
from optuna_nas.supernet.differentiable.halves import Halves
from optuna_nas.supernet.differentiable.mixed import MixedNetwork
from optuna_nas.supernet.differentiable.penalties import Penalty
from optuna_nas.supernet.differentiable.perturbation import Perturbation
from optuna_nas.supernet.differentiable.progress import Epoch, Found, Progress
from optuna_nas.supernet.differentiable.relax import relax
from optuna_nas.supernet.differentiable.relaxation import Space
from optuna_nas.supernet.differentiable.stops import STOPS
from optuna_nas.supernet.differentiable.weighting import WEIGHTINGS, Weighting

__all__ = ["DARTS"]

SELECTIONS: dict[str, Callable[[int], list[Callback]]] = {
    "perturbation": lambda seed: [Perturbation(seed)],
    "strength": lambda seed: [],
}
"""Name -> what derives another network at the end than that of the strongest operators."""


@dataclass(frozen=True, kw_only=True)
class DARTS:
    """A search by gradients over the operators of a space, in one training of a mixed network.

    Each node whose operator a parameter of the space chooses runs all of them, weighted by
    architecture parameters. These learn from one half of the training data, the weights from the
    other; validation and test data are not touched. Then the strongest operators are kept:
    `study.enqueue_trial(found.params)` has their network trained from scratch like any other.

    Args:
        space: Draws an `Architecture` from a trial; each of its parameters chooses what nodes do,
            and leaves the rest of the graph as it is. `spaces.DARTS` is searched with all edges,
            of which each node keeps two.
        epochs: Passes over half of the training data.
        order: 1, or 2 for gradients that see a step of the weights ahead, at three times the cost.
        weighting: `softmax`, `gumbel` (one operator a step is drawn and run), or a `Softmax` or
            `Gumbel` with arguments of their own.
        early_stop: `skips`, `hessian`, a `SkipStop` or `HessianStop`, or None.
        penalties: What is added to the loss of the architecture: `Entropy`, `ExpectedLatency`.
        partial: Only one in so many channels goes through operators, and the inputs of a node
            are weighted too, where they compete; 1 for neither.
        dropout: Chance that a value is dropped that an operator without weights returns, such as a
            skip, at first; falls to 0.
        l2: Weight of half the squared norm of the weights in their loss.
        warmup: Epochs in which weights alone learn.
        selection: `strength` keeps the operators whose parameters are largest; `perturbation`
            those without which the mixed network loses most in the end, as in `Perturbation`.
        learning_rate: Of the architecture parameters, by Adam; the published one is for 20,000
            steps, and a search of a thousand needs 0.03 or so. That of weights is the module's.
        seed: Of halves, weights, architecture parameters and all chance in training.
        trainer: Further arguments of the Lightning Trainer.
        threads: Threads that PyTorch may use; its own choice by default.

    Raises:
        DescriptionError: An unknown name, or a number out of its range.

    Source: DARTS, Liu et al. 2019, arXiv:1806.09055; the others at `Gumbel`, `SkipStop`,
    `HessianStop`, `Perturbation`, `Entropy`, `ExpectedLatency` and `MixedNetwork`.
    """

    space: Space
    epochs: int = 50
    order: int = 1
    weighting: str | Weighting = "softmax"
    early_stop: str | Callback | None = None
    penalties: Sequence[Penalty] = ()
    partial: int = 1
    dropout: float = 0.0
    l2: float = 0.0
    warmup: int = 0
    selection: str = "strength"
    learning_rate: float = 3e-4
    seed: int = 0
    trainer: Mapping[str, Any] = field(default_factory=dict)
    threads: int | None = None

    def __post_init__(self) -> None:
        if not callable(self.space):
            raise DescriptionError(f"expected a callable space, got {self.space!r}")
        for name, legal, wanted in (
            ("epochs", self.epochs >= 1, "of at least 1"),
            ("order", self.order in (1, 2), "of 1 or 2"),
            ("partial", self.partial >= 1, "of at least 1"),
            ("dropout", 0 <= self.dropout < 1, "in [0, 1)"),
            ("l2", 0 <= self.l2 < math.inf, "from 0"),
            ("warmup", 0 <= self.warmup < self.epochs, f"from 0 and below epochs={self.epochs}"),
            ("learning_rate", 0 < self.learning_rate < math.inf, "above 0"),
            ("seed", self.seed >= 0, "of at least 0"),
            ("threads", self.threads is None or self.threads >= 1, "of at least 1"),
        ):
            if not legal:
                raise DescriptionError(f"expected {name} {wanted}, got {getattr(self, name)}")
        self._weigh(), self._stops(), self._selections()  # unknown names are found now
        if self.selection != "strength" and self.early_stop is not None:
            raise DescriptionError(
                f"expected selection='strength' beside early_stop, got {self.selection!r}; the "
                "network is that of an earlier epoch, whose weights are gone"
            )

    def fit(
        self,
        data: LightningDataModule,
        module: Callable[[nn.Module], LightningModule] = Classifier,
        checkpoint: str | os.PathLike[str] | None = None,
        on_epoch: Callable[[Epoch], None] | None = None,
    ) -> Found:
        """Search, or go on with a search.

        Args:
            data: The data, whose training split is used.
            module: Makes the LightningModule that trains the weights from the mixed network.
            checkpoint: File that is written after each epoch, and gone on from where it is there.
            on_epoch: Called after each epoch.

        Raises:
            SpaceError: A parameter of the space that chooses no operator; names it.
            DescriptionError: A module that cannot be trained so.
            DataError: Training data that cannot be cut into halves.
            StudyError: The checkpoint is that of another search; says what differs.
            TrainingError: A loss that is NaN or infinite.
            KeyboardInterrupt: The user stopped it; the checkpoint is that of the last epoch.
        """
        shape = seeded(datasets.input_shape, self.seed, data)
        outputs = datasets.outputs(data)
        if outputs is None:
            raise DescriptionError(
                "expected data with `outputs`, the number of values that a network returns, got "
                f"{type(data).__name__} without"
            )
        with calm(), using_threads(self.threads), seeded_setup(data, self.seed):
            network, alphas = seeded(self._mixed, self.seed, tuple(shape), outputs)
            recipe = seeded(module, self.seed, network)
            _expect_module(recipe)
            progress = Progress(self._bilevel(network, alphas))
            callbacks = self._callbacks(progress, on_epoch)
            resumed = None
            if checkpoint is not None:
                callbacks.append(Saved(checkpoint, self._description(data, module)))
                resumed = callbacks[-1].resumed
            trainer = self._trainer(callbacks)
            warnings.filterwarnings("ignore", message=".*have no `validation_step`.*")
            with interruptible(), progress.bilevel.halves.of(data):
                trainer.fit(recipe, datamodule=data, ckpt_path=resumed, weights_only=True)
        return progress.found()

    def _mixed(self, shape: tuple[int, ...], outputs: int) -> tuple[MixedNetwork, Alphas]:
        relaxation = relax(self.space, shape, outputs, self.seed)
        alphas = Alphas(relaxation, edges=self.partial > 1, seed=self.seed)
        weighting = self._weigh()
        return MixedNetwork(relaxation, alphas, weighting, self.partial, self.dropout), alphas

    def _bilevel(self, network: MixedNetwork, alphas: Alphas) -> Bilevel:
        return Bilevel(
            network,
            alphas,
            Halves(self.seed),
            order=self.order,
            terms=[penalty.of(network.relaxation) for penalty in self.penalties],
            learning_rate=self.learning_rate,
            warmup=self.warmup,
            epochs=self.epochs,
            l2=self.l2,
            seed=self.seed,
        )

    def _callbacks(
        self, progress: Progress, on_epoch: Callable[[Epoch], None] | None
    ) -> list[Any]:
        own = copy.deepcopy(self.trainer.get("callbacks")) or []
        own = [own] if isinstance(own, Callback) else own
        ends = [*self._stops(), *self._selections()]
        callbacks = [GiveWay(), progress.bilevel, *own, progress, *ends]
        if on_epoch is not None:
            told = LambdaCallback(on_train_epoch_end=lambda *_: on_epoch(progress.epochs[-1]))
            callbacks.append(told)
        return callbacks

    def _trainer(self, callbacks: list[Any]) -> Trainer:
        fixed = {"max_epochs": self.epochs, "limit_val_batches": 0, "callbacks": callbacks}
        return Trainer(**{**TRAINER, **self.trainer, **fixed})

    def _description(self, data: LightningDataModule, module: Any) -> dict[str, Any]:
        return {
            **describe(self),
            "data": str(seeded(datasets.fingerprint, self.seed, data)),
            "module": describe(module),
        }

    def _weigh(self) -> Weighting:
        given = self.weighting
        return choose("weighting", given, WEIGHTINGS) if isinstance(given, str) else given

    def _stops(self) -> list[Callback]:
        if isinstance(self.early_stop, str):
            return [choose("early stop", self.early_stop, STOPS)()]
        return [] if self.early_stop is None else [self.early_stop]

    def _selections(self) -> list[Callback]:
        return choose("selection", self.selection, SELECTIONS)(self.seed)


def _expect_module(recipe: Any) -> None:
    if not isinstance(recipe, LightningModule):
        raise DescriptionError(
            f"expected module(network) to return a LightningModule, got {type(recipe).__name__}"
        )
