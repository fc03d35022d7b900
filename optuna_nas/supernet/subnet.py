"""A network of a space that runs on shared weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

if TYPE_CHECKING:
    from optuna_nas.supernet.pieces import Piece
    from optuna_nas.supernet.store import SharedWeights

__all__ = ["Subnet"]


class Subnet(nn.Module):
    """A network on views of shared weights, (B, *input_shape) -> (B, outputs).

    Its parameters are those of the store, all of them: training it trains the store.

    Args:
        store: The weights.
        skeleton: The network; its own weights are not used.
        pieces: What it takes from the store.

    Attributes:
        skeleton: The network.
    """

    def __init__(
        self, store: SharedWeights, skeleton: nn.Module, pieces: tuple[Piece, ...]
    ) -> None:
        super().__init__()
        self.store = store
        self.pieces = pieces
        self.__dict__["skeleton"] = skeleton  # no submodule: its parameters are not this one's

    @property
    def input_dtype(self) -> torch.dtype | None:
        """Of the input, where it is no floats."""
        return getattr(self.__dict__["skeleton"], "input_dtype", None)

    def weights(self) -> dict[str, Tensor]:
        """Name in the network -> view of the shared weights."""
        return self.store.views(self.pieces)

    def forward(self, *inputs: Tensor) -> Any:
        network: nn.Module = self.__dict__["skeleton"]
        network.train(self.training)  # subnets have blocks in common, whatever mode these are in
        return functional_call(network, self.weights(), inputs)
