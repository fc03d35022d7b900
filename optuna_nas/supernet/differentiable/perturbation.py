"""Keeping the operators that the mixed network misses most, whatever their parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from statistics import mean

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from optuna_nas.study.training import seeded
from optuna_nas.supernet.differentiable.bilevel import Bilevel
from optuna_nas.supernet.differentiable.progress import Progress
from optuna_nas.supernet.differentiable.undisturbed import undisturbed

__all__ = ["Perturbation"]

Loss = Callable[[Sequence[Tensor]], float]
"""That of the mixed network with given weights of operators."""


class Perturbation(Callback):
    """Derives the network, once a search ends, by what the loss is without each operator.

    Choice by choice, in a random order, the operator is kept without which the loss on the
    architecture's half of the data rises most; it has all weight from then on. Where inputs of a
    node compete, those are kept without which it rises most in the end. So it takes as many passes
    over that half as there are operators, without gradients; weights are not tuned in between.

    Args:
        seed: Of the order.

    Source: DARTS-PT, Wang et al. 2021, arXiv:2108.04392.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Derive it after the last epoch."""
        if not trainer.should_stop and trainer.current_epoch + 1 != trainer.max_epochs:
            return
        progress = Progress.of(trainer)
        bilevel = progress.bilevel
        with torch.no_grad(), _in_full(bilevel, pl_module):
            strengths = self._strengths(trainer, bilevel)
        progress.derive(bilevel.network.relaxation.kept(strengths))

    def _strengths(self, trainer: Trainer, bilevel: Bilevel) -> list[Tensor]:
        """How much each option of each choice is missed, (K,)."""

        def loss(weights: Sequence[Tensor]) -> float:
            with bilevel.network.weighing(weights):
                return float(seeded(_loss, self.seed, trainer, bilevel))

        weights = [alpha.softmax(0) for alpha in bilevel.alphas.operators]
        missed = list(weights)
        generator = torch.Generator().manual_seed(self.seed)
        for number in torch.randperm(len(weights), generator=generator).tolist():
            missed[number] = _without_each(loss, weights, number)
            weights[number] = _only(int(missed[number].argmax()), weights[number])
        for number in (number for join in bilevel.network.relaxation.joins for number in join):
            without = loss(_replaced(weights, number, torch.zeros_like(weights[number])))
            missed[number] = missed[number] / missed[number].max() * without
        return missed


def _without_each(loss: Loss, weights: Sequence[Tensor], number: int) -> Tensor:
    """Loss without each option of a choice, (K,)."""
    own = weights[number]
    removed = [
        own.index_fill(0, torch.tensor([o], device=own.device), 0.0) for o in range(len(own))
    ]
    return torch.tensor([loss(_replaced(weights, number, left)) for left in removed])


def _replaced(weights: Sequence[Tensor], number: int, own: Tensor) -> list[Tensor]:
    return [*weights[:number], own, *weights[number + 1 :]]


def _only(option: int, like: Tensor) -> Tensor:
    only = torch.zeros_like(like)
    only[option] = 1.0
    return only


def _loss(trainer: Trainer, bilevel: Bilevel) -> float:
    """Mean loss over the architecture's half."""
    batches = map(trainer.strategy.batch_to_device, bilevel.halves.ordered)
    return mean(float(bilevel.architecture_loss(b, n)) for n, b in enumerate(batches))


@contextmanager
def _in_full(bilevel: Bilevel, pl_module: LightningModule) -> Iterator[None]:
    """Let the network be looked at as it is at the end, when nothing is dropped any more."""
    before, bilevel.network.progress = bilevel.network.progress, 1.0
    try:
        with undisturbed(bilevel.network, pl_module):
            yield
    finally:
        bilevel.network.progress = before
