"""What is measured: a network on its way from drawing to trained."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor, nn

from optuna_nas.architecture import Architecture
from optuna_nas.exceptions import DataError
from optuna_nas.model import build

if TYPE_CHECKING:
    from optuna_nas.objectives.objective import Measurement

__all__ = ["Candidate", "evaluating"]


@dataclass
class Candidate:
    """A network that a trial has drawn, and what is known of it so far.

    Args:
        drawn: What the space returned.
        input_shape: Shape of one input without the batch, such as (C, H, W).
        outputs: Size of the network's output; None where the data does not say.
        seed: Seed of its weights.
        data: What it is trained and validated on; None where there is nothing but a network.
        metrics: What its training logged last; empty before.
        calibrations: Objective name -> what the objective's `calibrate` returned for this study.
        measured: Objective name -> its measurement, for what follows from several.
    """

    drawn: Architecture | nn.Module
    input_shape: tuple[int, ...]
    outputs: int | None = None
    seed: int = 0
    data: LightningDataModule | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    calibrations: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    measured: dict[str, Measurement] = field(default_factory=dict)

    @cached_property
    def network(self) -> nn.Module:
        """The network with its weights, on the CPU; after training with those it has learned."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return self._build()

    def renew(self, draw: Callable[[], Architecture | nn.Module]) -> None:
        """Make the network anew, with the weights that it began with.

        Args:
            draw: Draws it once more; asked only for a module of the user's own.
        """
        vars(self).pop("network", None)
        if isinstance(self.drawn, nn.Module):
            vars(self)["drawn"] = draw()

    @cached_property
    def skeleton(self) -> nn.Module:
        """The network without memory for its weights; a module of the user's own as it is."""
        if isinstance(self.drawn, nn.Module):
            return self.network
        return self._build("meta")

    def _build(self, device: str | None = None) -> nn.Module:
        if self.outputs is not None:
            return build(self.drawn, self.input_shape, self.outputs, device=device)
        if isinstance(self.drawn, nn.Module):
            with evaluating(self.drawn), torch.no_grad():
                self.drawn(self.example(module=self.drawn))  # lazy modules take their shapes
            return self.drawn
        raise DataError(
            "expected the data to say how many outputs a network needs, got a LightningDataModule "
            "without an attribute `outputs`; add it, for example the number of classes"
        )

    def example(self, batch: int = 1, module: nn.Module | None = None) -> Tensor:
        """Zeros (B, *input_shape) on the device of a module (the network by default).

        Floats, unless the module has an `input_dtype`, as one that takes token ids does.
        """
        network = module or self.network
        first = next(network.parameters(), torch.empty(0))
        dtype = getattr(network, "input_dtype", None)
        return torch.zeros(batch, *self.input_shape, dtype=dtype, device=first.device)

    def batches(
        self, split: Literal["train", "validation"]
    ) -> Generator[tuple[Tensor, Tensor], None, None]:
        """Batches of inputs (B, *input_shape) and targets (B, ...), on the CPU.

        The data is set up for a fit alone, so the test split is not loaded.

        Raises:
            DataError: There are no batches, or none of pairs of tensors.
        """
        data = self.data
        if data is None:
            raise DataError("expected data to measure on, got none; give Candidate(data=...)")
        data.prepare_data()
        data.setup("fit")
        try:
            loader = data.train_dataloader() if split == "train" else data.val_dataloader()
            batch = None
            for batch in loader:
                prepared = data.on_after_batch_transfer(data.on_before_batch_transfer(batch, 0), 0)
                yield _pair(prepared, split)
            if batch is None:
                raise DataError(f"expected {split} batches, got an empty loader")
        finally:
            data.teardown("fit")


def _pair(batch: Any, split: str) -> tuple[Tensor, Tensor]:
    if isinstance(batch, tuple | list) and len(batch) == 2:
        x, y = batch
        if isinstance(x, Tensor) and isinstance(y, Tensor):
            return x, y
    raise DataError(
        f"expected {split} batches of two tensors (inputs, targets), got {type(batch).__name__}; "
        "objectives that run the network on data need them"
    )


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Put a network in evaluation mode, and each of its modules back into its own after."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
