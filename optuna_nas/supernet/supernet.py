"""A supernet as a module, and the callback with which any recipe trains it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from optuna_nas.architecture import Architecture
from optuna_nas.exceptions import DescriptionError, TrainingError
from optuna_nas.objectives import Objective
from optuna_nas.samplers.virtual import draw
from optuna_nas.supernet.drawing import Candidates, Drawing, Uniform
from optuna_nas.supernet.store import SharedWeights
from optuna_nas.supernet.subnet import Subnet

__all__ = ["Paths", "Supernet", "distillation"]


class Supernet(nn.Module):
    """All networks of a space in one module, which runs one of them, (B, ...) -> (B, outputs).

    Args:
        store: The weights.

    Attributes:
        drawn: The network that runs: what the space returned; at first the largest.
        output: What it returned last.
    """

    def __init__(self, store: SharedWeights) -> None:
        super().__init__()
        self.store = store
        self.output: Any = None
        self.choose(store.draw(draw(store.extent.space, store.extent.largest).params))

    @property
    def input_dtype(self) -> torch.dtype | None:
        """Of the input, where it is no floats."""
        subnet: Subnet = self.__dict__["_subnet"]
        return subnet.input_dtype

    def choose(self, drawn: Architecture | nn.Module) -> None:
        """Let another network run.

        Raises:
            SpaceError: It is none of the space.
        """
        self.__dict__["drawn"] = drawn
        self.__dict__["_subnet"] = self.store.network(drawn)

    def describe(self) -> str:
        """The network that runs, in one line."""
        drawn = self.__dict__["drawn"]
        return drawn.describe() if isinstance(drawn, Architecture) else str(drawn)

    def forward(self, *inputs: Tensor) -> Any:
        subnet = self.__dict__["_subnet"]
        subnet.training = self.training
        self.output = subnet(*inputs)
        return self.output


def distillation(outputs: Tensor, teacher: Tensor) -> Tensor:
    """Cross entropy of logits (B, classes, ...) against those of a teacher."""
    return cross_entropy(outputs, teacher.detach().softmax(1))


class Paths(Callback):
    """Lets several networks of a supernet learn from each batch; one step for all of them.

    The recipe's `training_step` is called once for each, and the losses are averaged. Which they
    are is a function of the seed and the step, so that a training resumed goes on with the same.

    Args:
        supernet: What the LightningModule trains.
        drawing: Draws the networks.
        paths: Networks in a step.
        seed: Of the drawing.
        distil: (outputs, teacher's outputs) -> loss, for drawings that distil.
        caps: Quantities whose caps the networks keep that the drawing draws at random; known
            without weights, such as `FLOPs(max=6e6)`.

    Attributes:
        loss: Mean loss of the networks, since the epoch began.

    Raises:
        DescriptionError: No network in a step.
        SpaceError: No network is found that keeps the caps.
        TrainingError: A loss is NaN or infinite; says at which network.
    """

    def __init__(
        self,
        supernet: Supernet,
        drawing: Drawing | None = None,
        paths: int = 2,
        seed: int = 0,
        distil: Callable[[Tensor, Tensor], Tensor] = distillation,
        caps: Sequence[Objective] = (),
    ) -> None:
        if paths < 1:
            raise DescriptionError(f"expected at least one network in a step, got paths={paths}")
        self._supernet = supernet
        self._drawing = drawing or Uniform()
        self._paths = paths
        self._distil = distil
        self._candidates = Candidates(supernet.store, seed, tuple(caps))
        self._total, self._count = 0.0, 0

    @property
    def loss(self) -> float:
        """Mean loss of the networks, since the epoch began."""
        return self._total / max(1, self._count)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin a mean."""
        self._total, self._count = 0.0, 0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Take the place of the recipe's step."""
        if not pl_module.automatic_optimization:
            raise DescriptionError(
                "expected a LightningModule with automatic optimisation, which a supernet can be "
                f"trained by, got {type(pl_module).__name__} without; leave optimisation to the "
                "Trainer"
            )
        if stage == "fit":
            step = partial(self._step, pl_module.training_step, trainer)
            vars(pl_module)["training_step"] = step

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Give it back."""
        vars(pl_module).pop("training_step", None)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Give it back: Lightning does not tear down what raised."""
        self.teardown(trainer, pl_module, "fit")

    def _step(
        self, inner: Callable[..., Any], trainer: Trainer, *args: Any, **kwargs: Any
    ) -> Tensor:
        step, store = trainer.global_step, self._supernet.store
        progress = step / max(float(trainer.estimated_stepping_batches), step + 1.0)
        teacher, losses = None, []
        for params in self._drawing(self._candidates, step, self._paths, progress):
            self._supernet.choose(store.draw(params))
            loss = _loss(inner(*args, **kwargs))
            if self._drawing.distils and teacher is not None:
                loss = self._distil(self._supernet.output, teacher)
            teacher = self._supernet.output if teacher is None else teacher
            self._check(loss, step)
            losses.append(loss)
        return torch.stack(losses).mean()

    def _check(self, loss: Tensor, step: int) -> None:
        value = float(loss.detach())
        self._total, self._count = self._total + value, self._count + 1
        if not math.isfinite(value):
            raise TrainingError(
                f"expected a finite loss of the supernet, got {value} in step {step} at "
                f"{self._supernet.describe()}; lower the learning rate, or clip gradients "
                "(gradient_clip_val)"
            )


def _loss(result: Any) -> Tensor:
    loss = result["loss"] if isinstance(result, dict) else result
    if not isinstance(loss, Tensor):
        raise TrainingError(
            f"expected training_step to return a loss, got {type(result).__name__}; a supernet "
            "cannot skip a batch"
        )
    return loss
