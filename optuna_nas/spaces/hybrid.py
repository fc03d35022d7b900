"""Stages of convolutions, then stages of attention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from optuna_nas.exceptions import SpaceError
from optuna_nas.spaces.choice import ask_size, check_range
from optuna_nas.spaces.macro import ATTENTION, CONVOLUTIONS, Macro
from optuna_nas.spaces.space import register

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

__all__ = ["Hybrid"]


@register("hybrid")
@dataclass(frozen=True, kw_only=True)
class Hybrid(Macro):
    """Convolutional stages, then stages of self-attention; where they change is searched.

    By default there are 31 x (480 x 96^3 + 480^2 x 96^2 + 480^3 x 96) (4.1e11) sets of
    parameters: 480 ways to make a convolutional stage, 96 to make one of attention, and 31 ways
    to place at most four halvings of 32 pixels on the stem and four stages.

    Args:
        convolutional: Smallest and largest number of convolutional stages, fewer than stages.
        operators: Kinds of blocks of a convolutional stage, of "conv", "mbconv" and "convnext".
        **others: As in `Macro`: kernels, expands, squeeze, ratios, heads; and as in `Stages`:
            input_shape, stages, depths, widths, downsample, stem, head, allowed.

    Raises:
        SpaceError: Bounds that allow nothing, at construction.

    Source: CoAtNet, Dai et al. 2021, arXiv:2106.04803, whose attention is relative; here
    positions are told by a depthwise convolution.
    """

    convolutional: tuple[int, int] = (1, 3)
    operators: tuple[str, ...] = CONVOLUTIONS

    legal_operators: ClassVar[tuple[str, ...]] = CONVOLUTIONS
    always: ClassVar[tuple[str, ...]] = ("conv", ATTENTION)

    def _kind(self, trial: BaseTrial, number: int) -> str:
        """An attention once the convolutional stages, whose number is asked for once, are over."""
        low, high = self.convolutional
        if number > ask_size(trial, "convolutional", range(low, high + 1)):
            return ATTENTION
        return super()._kind(trial, number)

    def _checked(self) -> dict[str, Any]:
        checked = super()._checked()
        low, high = check_range("convolutional", self.convolutional)
        if high >= checked["stages"]:
            raise SpaceError(
                f"expected convolutional=(smallest, largest) below stages={checked['stages']}, "
                f"got {(low, high)}; leave a stage for attention"
            )
        return {**checked, "convolutional": (low, high)}
