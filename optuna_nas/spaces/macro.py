"""Stages that choose a block each: of convolutions or of attention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from optuna_nas.exceptions import SpaceError
from optuna_nas.spaces.choice import ask_option, ask_size, check_odd, check_options, check_sizes
from optuna_nas.spaces.space import register
from optuna_nas.spaces.stages import Stages

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

__all__ = ["ATTENTION", "CONVOLUTIONS", "Macro"]

CONVOLUTIONS = ("conv", "mbconv", "convnext")
ATTENTION = "image_attention"
OPERATORS = (*CONVOLUTIONS, ATTENTION)


@register("macro")
@dataclass(frozen=True, kw_only=True)
class Macro(Stages):
    """Stages of varying depth and width, each of one kind of block.

    By default there are 31 x 576^4 (3.4e12) sets of parameters: 576 ways to make a stage, and 31
    ways to place at most four halvings of 32 pixels on the stem and four stages. Equal stages in
    a row, cut differently, are one network and have one digest.

    Args:
        operators: Kinds of blocks, of "conv" (convolution), "mbconv" (inverted residual),
            "convnext" and "image_attention" (self-attention over all positions).
        kernels: Odd kernel sizes of what convolves.
        expands: Expansions of an inverted residual.
        squeeze: Whether convolutions and inverted residuals have squeeze-excitation.
        ratios: Expansions of the MLP of ConvNeXt and of attention.
        heads: Heads of attention. Those are offered that divide the width of the stage.
        **others: As in `Stages`: input_shape, stages, depths, widths, downsample, stem, head,
            allowed. Halving leaves two pixels at least, so that there is something to attend to.

    Raises:
        SpaceError: Bounds that allow nothing, at construction.

    Source: convolutions, attention and their mixture in stages, Dai et al. 2021,
    arXiv:2106.04803; ConvNeXt, Liu et al. 2022, arXiv:2201.03545; inverted residual, Sandler et
    al. 2018, arXiv:1801.04381.
    """

    operators: tuple[str, ...] = OPERATORS
    kernels: tuple[int, ...] = (3, 5, 7)
    expands: tuple[int, ...] = (3, 4, 6)
    squeeze: tuple[bool, ...] = (False, True)
    ratios: tuple[int, ...] = (2, 4)
    heads: tuple[int, ...] = (2, 4, 8)

    legal_operators: ClassVar[tuple[str, ...]] = OPERATORS
    fewest_pixels: ClassVar[int] = 2

    def _kind(self, trial: BaseTrial, number: int) -> str:
        return ask_option(trial, f"stage{number}.operator", self.operators)

    def _operator(self, trial: BaseTrial, number: int, width: int) -> tuple[str, dict[str, Any]]:
        kind = self._kind(trial, number)
        name = f"stage{number}.{kind}"
        if kind == ATTENTION:
            heads = self._heads(trial, name, width)
            return kind, {"heads": heads, "expand": ask_size(trial, f"{name}.ratio", self.ratios)}
        args: dict[str, Any] = {"kernel": ask_size(trial, f"{name}.kernel", self.kernels)}
        if kind == "convnext":
            return kind, {**args, "expand": ask_size(trial, f"{name}.ratio", self.ratios)}
        if kind == "mbconv":
            args["expand"] = ask_size(trial, f"{name}.expand", self.expands)
        return kind, {**args, "squeeze": ask_option(trial, f"{name}.squeeze", self.squeeze)}

    def _place(self, kind: str, width: int, stride: int, incoming: int) -> dict[str, Any]:
        place = super()._place(kind, width, stride, incoming)
        if kind in ("convnext", ATTENTION):  # these always add their input
            del place["residual"]
        return place

    def _heads(self, trial: BaseTrial, name: str, width: int) -> int:
        """Ask for heads; where only some divide the width, by a name that says of which width."""
        legal = [heads for heads in self.heads if width % heads == 0]
        suffix = "" if len(legal) == len(self.heads) else f"_of_{width}"
        return ask_size(trial, f"{name}.heads{suffix}", legal)

    def _checked(self) -> dict[str, Any]:
        checked = super()._checked() | {
            "kernels": check_odd("kernels", self.kernels),
            "expands": check_sizes("expands", self.expands),
            "squeeze": check_options("squeeze", self.squeeze, (False, True)),
            "ratios": check_sizes("ratios", self.ratios),
            "heads": check_sizes("heads", self.heads),
        }
        for width in checked["widths"]:
            if all(width % heads for heads in checked["heads"]):
                raise SpaceError(
                    "expected heads of which one at least divides each of "
                    f"widths={checked['widths']}, got heads={checked['heads']}, none for {width}"
                )
        return checked
