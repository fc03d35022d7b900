"""A training at the fidelity of its epochs: less data, smaller images, fewer channels at first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn
from torch.nn.functional import interpolate

from optuna_nas.exceptions import DescriptionError, SpaceError, TrainingError
from optuna_nas.model import Network
from optuna_nas.model.narrowing import Narrowing
from optuna_nas.objectives.candidate import evaluating
from optuna_nas.study.budget import Budget
from optuna_nas.study.loaders import Rounds, TimedRounds, part_of

__all__ = ["Fidelity", "expect_sizes"]

KEY = "optuna_nas_round"


class Fidelity(Callback):
    """Serves the training loader of an epoch, and resizes what the network gets and the network.

    Images are resized where they enter the network, which itself computes with some of its
    channels, in training as in validation, so that neither the data module nor the
    LightningModule has to know.

    Args:
        budget: What each epoch gets.
        seed: Decides which part of the data comes first.
        clock: Seconds spent training, for a budget in seconds.
    """

    def __init__(self, budget: Budget, seed: int, clock: Callable[[], float]) -> None:
        self._budget = budget
        self._seed = seed
        self._clock = clock
        self._resize = _Resize()
        self._narrowing: Narrowing | None = None
        self._trainer: Trainer | None = None
        self._stored: Mapping[str, Any] = {"epochs": 0, "share": None}
        self._whole: Any = None
        self._served: tuple[float, Any] = (0.0, None)

    @property
    def trainer_arguments(self) -> dict[str, Any]:
        """What the Trainer needs to know: that a share of the data changes from epoch to epoch."""
        return {} if self._budget.share(1) == 1 else {"reload_dataloaders_every_n_epochs": 1}

    @property
    def below(self) -> bool:
        """Whether images were smaller than they are, or networks narrower, in the last epoch."""
        narrow = self._narrowing is not None and self._narrowing.share != 1
        return narrow or self._resize.scale != 1

    @contextmanager
    def resizing(self, network: nn.Module, input_shape: Sequence[int]) -> Iterator[None]:
        """Resize what a network gets, and the network, until the block ends.

        Raises:
            SpaceError: It cannot take images of one of the sizes, or be of one of the widths.
        """
        if self._budget.resolution is None and self._budget.width is None:
            yield
            return
        expect_sizes(network, input_shape, self._budget)
        handle = network.register_forward_pre_hook(self._resize)
        if self._budget.width is not None:
            self._narrowing = _narrow(network, input_shape)
        try:
            yield
        finally:
            handle.remove()
            vars(network).pop("narrowing", None)

    def in_full(self) -> None:
        """Resize nothing any more."""
        self._resize.scale = 1.0
        if self._narrowing is not None:
            self._narrowing.share = 1.0

    def serve(self, make: Callable[[], Any]) -> Any:
        """The training loader of the epoch that is next."""
        budget = self._budget
        if budget.share(1) == 1 and budget.length is None:
            return make()
        if self._whole is None:  # made once: its generator must not begin anew every epoch
            self._whole = make()
        done = max(self._stored["epochs"], self._trainer.current_epoch if self._trainer else 0)
        share = budget.share(done + 1)
        if self._served[0] != share:
            self._served = share, self._in_rounds(part_of(self._whole, share, self._seed))
            if self._stored["share"] == share and budget.length is not None:
                self._served[1].restore(self._stored["place"])
        return self._served[1]

    def check(self, trainer: Trainer) -> None:
        """Refuse several processes where each would serve the same.

        Raises:
            DescriptionError: The trainer has several.
        """
        if self._budget.length is not None and trainer.world_size > 1:
            raise DescriptionError(
                f"expected one process beside a budget in {self._budget.unit}, got "
                f"{trainer.world_size}; use devices=1, or Budget(epochs=...)"
            )

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Keep the trainer, which counts the epochs."""
        self._trainer = trainer

    def teardown(self, *_: object, **__: object) -> None:
        """Let the trainer go."""
        self._trainer = None

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Resize as the epoch asks for."""
        self._resize_for(trainer.current_epoch + 1)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the place in the data, where an epoch of the budget ends within one of the data."""
        served = self._served[1]
        place = served.state() if isinstance(served, Rounds | TimedRounds) else None
        share = self._served[0]
        checkpoint[KEY] = {"epochs": trainer.current_epoch + 1, "share": share, "place": place}

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Take it."""
        self._stored = checkpoint[KEY]
        self._resize_for(self._stored["epochs"])

    def _resize_for(self, epoch: int) -> None:
        self._resize.scale = self._budget.scale(epoch)
        if self._narrowing is not None:
            self._narrowing.share = self._budget.breadth(epoch)

    def _in_rounds(self, loader: Any) -> Any:
        length = self._budget.length
        if length is None:
            return loader
        if self._budget.unit == "seconds":
            return TimedRounds(loader, length, self._clock)
        batches = self._trainer.accumulate_grad_batches if self._trainer else 1
        return Rounds(loader, int(length) * batches)


class _Resize:
    """Forward pre-hook that resizes images (B, C, H, W) by a factor; shared by every copy."""

    def __init__(self) -> None:
        self.scale = 1.0

    def __call__(self, network: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if self.scale == 1:
            return None
        if not args or not isinstance(args[0], Tensor) or args[0].ndim != 4:
            got = tuple(args[0].shape) if args and isinstance(args[0], Tensor) else "no tensor"
            raise TrainingError(
                "expected the network to be called with images (B, C, H, W) beside "
                f"Budget(resolution=...), got {got}; leave resolution out"
            )
        return (_resized(args[0], self.scale), *args[1:])

    def __deepcopy__(self, memo: dict[int, Any]) -> _Resize:
        return self


def _resized(images: Tensor, scale: float) -> Tensor:
    height, width = (max(1, round(side * scale)) for side in images.shape[2:])
    floats = images if images.is_floating_point() else images.float()
    resized = interpolate(floats, (height, width), mode="bilinear", antialias=True)
    return resized if images.is_floating_point() else resized.round().to(images.dtype)


def expect_sizes(network: nn.Module, input_shape: Sequence[int], budget: Budget) -> None:
    """Try a network on images of every size of a budget, and at every width.

    Raises:
        SpaceError: It cannot take images of one of the sizes, or be of one of the widths.
    """
    narrowing = None if budget.width is None else _narrow(network, input_shape)
    try:
        for epoch in budget.rungs:
            if narrowing is not None:
                narrowing.share = budget.breadth(epoch)
            _try(network, input_shape, budget.scale(epoch))
    finally:
        vars(network).pop("narrowing", None)


def _narrow(network: nn.Module, input_shape: Sequence[int]) -> Narrowing:
    """What narrows a network, given to it."""
    if not isinstance(network, Network):
        raise SpaceError(
            "expected an Architecture beside Budget(width=...), whose nodes say how wide they "
            f"are, got a module, {type(network).__name__}; let the space return an Architecture, "
            "or leave width out"
        )
    with evaluating(network), torch.no_grad():
        outputs = network(_zeros(network, input_shape)).shape[1]
    network.narrowing = Narrowing(tuple(input_shape), outputs)
    return network.narrowing


def _zeros(network: nn.Module, input_shape: Sequence[int]) -> Tensor:
    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    kind = getattr(network, "input_dtype", None)
    return torch.zeros(2, *input_shape, dtype=kind, device=device)


def _try(network: nn.Module, input_shape: Sequence[int], scale: float) -> None:
    inputs = _zeros(network, input_shape)
    inputs = inputs if scale == 1 else _resized(inputs, scale)
    try:
        with evaluating(network), torch.no_grad():
            network(inputs)
    except SpaceError:  # it is too narrow
        raise
    except Exception as error:
        size = "x".join(map(str, inputs.shape[2:]))
        raise SpaceError(
            f"expected a network that takes images of {size}, which Budget(resolution=...) has, "
            f"got {type(error).__name__}: {error}; pool adaptively before its head, or leave "
            "resolution out"
        ) from error
