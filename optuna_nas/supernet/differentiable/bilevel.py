"""Any recipe as a bilevel one: weights learn from one half of the data, choices from the other."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import lightning
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from optuna_nas.exceptions import DescriptionError, TrainingError
from optuna_nas.samplers.uniform import seed_of
from optuna_nas.supernet.differentiable.alphas import Alphas
from optuna_nas.supernet.differentiable.halves import ARCHITECTURE, WEIGHTS, Halves
from optuna_nas.supernet.differentiable.hypergradient import first_order, second_order
from optuna_nas.supernet.differentiable.mixed import MixedNetwork
from optuna_nas.supernet.differentiable.penalties import Term

__all__ = ["Bilevel"]

CLIP = 5.0
"""Norm to which gradients of weights are clipped, as published."""
BETAS, DECAY = (0.5, 0.999), 1e-3
"""Of Adam for architecture parameters, as published."""


class Bilevel(Callback):
    """Trains a mixed network by a recipe, and its architecture parameters in turn.

    The recipe's `training_step` is called with a batch of either half; its optimiser and schedule
    are those of the weights. Random numbers are a function of the seed and the epoch, so that a
    search resumed goes on with the same.

    Args:
        network: What the LightningModule trains.
        alphas: Its architecture parameters.
        halves: Serves the data.
        order: 1, or 2 for a gradient that sees a step of the weights ahead.
        terms: What is added to the loss of the architecture.
        learning_rate: Of architecture parameters, by Adam.
        warmup: Epochs in which weights alone learn.
        epochs: Of the whole search.
        l2: Weight of half the squared norm of the weights in their loss.
        seed: Of random numbers in training.

    Attributes:
        losses: Sums over the epoch of both losses, and the number of steps.

    Source: DARTS, Liu et al. 2019, arXiv:1806.09055; stronger regularisation: R-DARTS, Zela et
    al. 2020, arXiv:1909.09656.
    """

    def __init__(
        self,
        network: MixedNetwork,
        alphas: Alphas,
        halves: Halves,
        *,
        order: int,
        terms: Sequence[Term],
        learning_rate: float,
        warmup: int,
        epochs: int,
        l2: float,
        seed: int,
    ) -> None:
        self.network = network
        self.alphas = alphas
        self.halves = halves
        self.losses = {WEIGHTS: 0.0, ARCHITECTURE: 0.0, "steps": 0.0}
        self._order = order
        self._terms = tuple(terms)
        self._learning_rate = learning_rate
        self._warmup = warmup
        self._epochs = epochs
        self._l2 = l2
        self._seed = seed
        self._inner: Callable[..., Any] = lambda *_: None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Take the place of the recipe's step, and add an optimiser."""
        if not pl_module.automatic_optimization:
            raise DescriptionError(
                "expected a LightningModule with automatic optimisation, which a search by "
                f"gradients can lead, got {type(pl_module).__name__} without; leave optimisation "
                "to the Trainer"
            )
        self.alphas.to(trainer.strategy.root_device)
        self._inner = pl_module.training_step
        vars(pl_module)["training_step"] = partial(self._step, trainer, pl_module)
        vars(pl_module)["configure_optimizers"] = partial(
            self._optimizers, pl_module.configure_optimizers
        )
        pl_module.automatic_optimization = False

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Leave the recipe as it came."""
        for name in ("training_step", "configure_optimizers"):
            vars(pl_module).pop(name, None)
        pl_module.automatic_optimization = True

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Leave it as it came: Lightning does not tear down what raised."""
        self.teardown(trainer, pl_module, "fit")

    def state_dict(self) -> dict[str, Any]:
        """The architecture parameters."""
        return {"alphas": self.alphas.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take what `state_dict` returned."""
        self.alphas.load_state_dict(state_dict["alphas"])

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say how far the search is."""
        self.network.progress = trainer.current_epoch / self._epochs
        self.losses = dict.fromkeys(self.losses, 0.0)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Let schedules of the recipe go on that count epochs."""
        for config in trainer.lr_scheduler_configs:
            if config.interval == "epoch":
                pl_module.lr_scheduler_step(config.scheduler, None)

    def architecture_loss(self, batch: Any, index: int = 0) -> Tensor:
        """The recipe's loss of a batch, with all that is added to it, ()."""
        loss = self._loss(batch, index)
        strengths = [alpha.softmax(0) for alpha in self.alphas.operators]
        return loss + sum(term(strengths, self.network.progress) for term in self._terms)

    def _step(
        self, trainer: Trainer, pl_module: LightningModule, batch: dict[str, Any], index: int
    ) -> None:
        if index == 0:  # loaders draw random numbers earlier in an epoch that is resumed
            self._seed_epoch(trainer.current_epoch)
        optimizers: Any = pl_module.optimizers()
        ours, theirs = optimizers
        if trainer.current_epoch >= self._warmup:
            rate = ours.param_groups[0]["lr"]
            self._architecture_step(theirs, batch, index, rate)
        self._weights_step(pl_module, ours, batch[WEIGHTS], index)
        for config in trainer.lr_scheduler_configs:
            if config.interval == "step":
                pl_module.lr_scheduler_step(config.scheduler, None)
        self.losses["steps"] += 1

    def _seed_epoch(self, epoch: int) -> None:
        (seed,) = seed_of("differentiable", self._seed, epoch).generate_state(1)
        lightning.seed_everything(int(seed), verbose=False)

    def _architecture_step(
        self, optimizer: Any, batch: dict[str, Any], index: int, rate: float
    ) -> None:
        alphas = list(self.alphas.parameters())
        seen: list[float] = []

        def validation() -> Tensor:
            loss = self.architecture_loss(batch[ARCHITECTURE], index)
            seen.append(float(loss.detach()))
            return loss

        def training() -> Tensor:
            return self._weights_loss(batch[WEIGHTS], index)

        weights = [p for p in self.network.parameters() if p.requires_grad]
        gradients = (
            first_order(validation, alphas)
            if self._order == 1
            else second_order(training, validation, alphas, weights, rate)
        )
        for alpha, gradient in zip(alphas, gradients, strict=True):
            alpha.grad = gradient.detach()
        optimizer.step()
        self.losses[ARCHITECTURE] += seen[0]

    def _weights_step(
        self, pl_module: LightningModule, optimizer: Any, batch: Any, index: int
    ) -> None:
        self.alphas.requires_grad_(False)
        try:
            loss = self._weights_loss(batch, index)
            optimizer.zero_grad()
            pl_module.manual_backward(loss)
        finally:
            self.alphas.requires_grad_(True)
        torch.nn.utils.clip_grad_norm_(pl_module.parameters(), CLIP)
        optimizer.step()
        self.losses[WEIGHTS] += float(loss.detach())

    def _weights_loss(self, batch: Any, index: int) -> Tensor:
        loss = self._loss(batch, index)
        if self._l2:
            learned = [p for p in self.network.parameters() if p.requires_grad]
            loss = loss + self._l2 / 2 * sum((p * p).sum() for p in learned)
        return loss

    def _loss(self, batch: Any, index: int) -> Tensor:
        result = self._inner(batch, index)
        loss = result["loss"] if isinstance(result, dict) else result
        if not isinstance(loss, Tensor):
            raise TrainingError(
                f"expected training_step to return a loss, got {type(result).__name__}; a search "
                "by gradients cannot skip a batch"
            )
        if not math.isfinite(float(loss.detach())):
            raise TrainingError(
                f"expected a finite loss of the mixed network, got {float(loss.detach())}; what "
                "the last checkpoint holds is good: lower the recipe's learning rate"
            )
        return loss

    def _optimizers(self, configure: Callable[[], Any]) -> Any:
        own = torch.optim.Adam(
            self.alphas.parameters(), self._learning_rate, BETAS, weight_decay=DECAY
        )
        return _single(configure()), {"optimizer": own}


def _single(configured: Any) -> dict[str, Any]:
    """What `configure_optimizers` returned, as a dictionary of one optimiser and its schedule."""
    if isinstance(configured, torch.optim.Optimizer):
        return {"optimizer": configured}
    if isinstance(configured, dict) and "optimizer" in configured:
        return _scheduled(configured)
    if isinstance(configured, tuple | list) and len(configured) == 1:
        return _single(configured[0])
    lists = isinstance(configured, tuple | list) and all(isinstance(p, list) for p in configured)
    if lists and len(configured) == 2 and len(configured[0]) == 1 and len(configured[1]) <= 1:
        found = {"optimizer": configured[0][0]}
        return _scheduled(found | ({"lr_scheduler": configured[1][0]} if configured[1] else {}))
    raise DescriptionError(
        "expected configure_optimizers() to return one optimiser, with a schedule or without, "
        f"got {type(configured).__name__}; a search by gradients adds its own"
    )


def _scheduled(found: dict[str, Any]) -> dict[str, Any]:
    schedule = found.get("lr_scheduler")
    given = schedule.get("scheduler") if isinstance(schedule, dict) else schedule
    if isinstance(given, torch.optim.lr_scheduler.ReduceLROnPlateau):
        raise DescriptionError(
            "expected a schedule that needs no metric, got ReduceLROnPlateau; nothing is "
            "validated during a search by gradients"
        )
    return found
