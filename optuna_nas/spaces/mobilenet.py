"""Stages of inverted residuals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from optuna_nas.spaces.choice import ask_option, ask_size, check_odd, check_options, check_sizes
from optuna_nas.spaces.space import register
from optuna_nas.spaces.stages import Stages

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

__all__ = ["MobileNet"]

OPERATORS = ("separable", "mbconv")


@register("mobilenet")
@dataclass(frozen=True, kw_only=True)
class MobileNet(Stages):
    """Stages of depthwise-separable convolutions 3x3 or of inverted residuals.

    By default there are 120 x 320^6 (1.3e17) sets of parameters: 320 ways to make a stage, and
    120 ways to place at most five halvings of 32 pixels on the stem and six stages. Equal stages
    in a row, cut differently, are one network and have one digest.

    Args:
        operators: Operators of a stage, of "separable" and "mbconv" (inverted residual).
        expands: Expansions of an inverted residual.
        kernels: Odd kernel sizes of an inverted residual.
        squeeze: Whether the blocks of a stage have squeeze-excitation.
        **others: As in `Stages`: input_shape, stages, depths, widths, downsample, stem, head,
            allowed.

    Raises:
        SpaceError: Bounds that allow nothing, at construction.

    Source: MobileNetV2, Sandler et al. 2018, arXiv:1801.04381; MobileNetV3 with
    squeeze-excitation and searched stages, Howard et al. 2019, arXiv:1905.02244.
    """

    stages: int = 6
    widths: tuple[int, ...] = (16, 24, 32, 48)
    stem: tuple[int, ...] = (16,)
    operators: tuple[str, ...] = OPERATORS
    expands: tuple[int, ...] = (3, 4, 6)
    kernels: tuple[int, ...] = (3, 5, 7)
    squeeze: tuple[bool, ...] = (False, True)

    legal_operators: ClassVar[tuple[str, ...]] = OPERATORS

    def _operator(self, trial: BaseTrial, number: int, width: int) -> tuple[str, dict[str, Any]]:
        stage = f"stage{number}"
        kind = ask_option(trial, f"{stage}.operator", self.operators)
        args: dict[str, Any] = {"kernel": 3}
        if kind == "mbconv":
            args = {
                "expand": ask_size(trial, f"{stage}.mbconv.expand", self.expands),
                "kernel": ask_size(trial, f"{stage}.mbconv.kernel", self.kernels),
            }
        return kind, {**args, "squeeze": ask_option(trial, f"{stage}.squeeze", self.squeeze)}

    def _checked(self) -> dict[str, Any]:
        return super()._checked() | {
            "expands": check_sizes("expands", self.expands),
            "kernels": check_odd("kernels", self.kernels),
            "squeeze": check_options("squeeze", self.squeeze, (False, True)),
        }
