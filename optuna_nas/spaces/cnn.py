"""Chains of convolutions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optuna_nas.architecture import Architecture
from optuna_nas.exceptions import SpaceError
from optuna_nas.spaces.allowed import check_allowed, restrict
from optuna_nas.spaces.choice import (
    ask_option,
    ask_size,
    check_odd,
    check_options,
    check_range,
    check_sizes,
    check_spatial,
    strided,
)
from optuna_nas.spaces.space import register

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

__all__ = ["CNN"]

OPERATORS = ("conv", "separable")


@register("cnn")
@dataclass(frozen=True, kw_only=True)
class CNN:
    """A chain of convolutional blocks and a classifier, for images or signals.

    A stride larger than the image that reaches the block is not offered, and a residual only
    where it can hold: with stride 1 and as many channels as come in. By default there are 1.5e16
    sets of parameters, each of which is a network of its own.

    Args:
        input_shape: Shape of one sample (C, H, W) or (C, L).
        blocks: Smallest and largest number of blocks.
        channels: Channels of a block.
        kernels: Odd kernel sizes of a block.
        strides: Strides of a block.
        operators: Operators of a block, of "conv" and "separable".
        residual: Whether a block adds its input.
        squeeze: Whether a block has squeeze-excitation.
        allowed: Kinds of blocks that the space may use, such as those that a backend can run
            (`backends.supported_blocks`); by default all.

    Raises:
        SpaceError: Bounds that allow nothing, at construction.
    """

    input_shape: tuple[int, ...] = (3, 32, 32)
    blocks: tuple[int, int] = (3, 8)
    channels: tuple[int, ...] = (32, 64, 128, 256)
    kernels: tuple[int, ...] = (3, 5, 7)
    strides: tuple[int, ...] = (1, 2)
    operators: tuple[str, ...] = OPERATORS
    residual: tuple[bool, ...] = (False, True)
    squeeze: tuple[bool, ...] = (False, True)
    allowed: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        allowed = check_allowed(self.allowed)
        operators = check_options("operators", self.operators, OPERATORS)
        legal: dict[str, Any] = {
            "input_shape": check_spatial(self.input_shape),
            "blocks": check_range("blocks", self.blocks),
            "channels": check_sizes("channels", self.channels),
            "kernels": check_odd("kernels", self.kernels),
            "strides": check_sizes("strides", self.strides),
            "operators": restrict(operators, allowed),
            "residual": check_options("residual", self.residual, (False, True)),
            "squeeze": check_options("squeeze", self.squeeze, (False, True)),
            "allowed": allowed,
        }
        for name, value in legal.items():
            object.__setattr__(self, name, value)
        self._check_pixels()

    def __call__(self, trial: BaseTrial) -> Architecture:
        """Draw an architecture whose nodes are `block1`, `block2`, ... and `classify`."""
        incoming, *size = self.input_shape
        nodes: list[tuple[str, str, dict[str, Any]]] = []
        for number in range(1, ask_size(trial, "blocks", self._counts()) + 1):
            kind, args = self._block(trial, f"block{number}", incoming, max(size))
            nodes.append((f"block{number}", kind, args))
            incoming = args["channels"]
            size = [strided(pixels, args["stride"]) for pixels in size]
        return Architecture.chain([*nodes, ("classify", "classify", {})])

    def _block(
        self, trial: BaseTrial, name: str, incoming: int, pixels: int
    ) -> tuple[str, dict[str, Any]]:
        kind = ask_option(trial, f"{name}.operator", self.operators)
        channels = ask_size(trial, f"{name}.channels", self.channels)
        kernel = ask_size(trial, f"{name}.kernel", self.kernels)
        stride = self._stride(trial, name, pixels)
        fits = stride == 1 and channels == incoming
        return kind, {
            "channels": channels,
            "kernel": kernel,
            "stride": stride,
            "residual": fits and ask_option(trial, f"{name}.residual", self.residual),
            "squeeze": ask_option(trial, f"{name}.squeeze", self.squeeze),
        }

    def _stride(self, trial: BaseTrial, name: str, pixels: int) -> int:
        """Ask for a stride; where only some are legal, by a name that says how large it may be."""
        legal = [stride for stride in self.strides if stride <= pixels]
        suffix = "" if len(legal) == len(self.strides) else f"_to_{legal[-1]}"
        return ask_size(trial, f"{name}.stride{suffix}", legal)

    def _counts(self) -> range:
        return range(self.blocks[0], self.blocks[1] + 1)

    def _check_pixels(self) -> None:
        pixels, smallest = max(self.input_shape[1:]), self.strides[0]
        for _ in range(self.blocks[1]):
            if smallest > pixels:
                raise SpaceError(
                    f"expected strides that leave pixels after {self.blocks[1]} blocks, got "
                    f"strides={self.strides} for input_shape={self.input_shape}; add stride 1"
                )
            pixels = strided(pixels, smallest)
