"""Stages of inverted residuals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optuna_nas.architecture import Architecture
from optuna_nas.exceptions import SpaceError
from optuna_nas.spaces.choice import (
    ask_option,
    ask_size,
    check_image,
    check_odd,
    check_options,
    check_range,
    check_sizes,
    strided,
)
from optuna_nas.spaces.space import register

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

__all__ = ["MobileNet"]

OPERATORS = ("separable", "mbconv")


@register("mobilenet")
@dataclass(frozen=True, kw_only=True)
class MobileNet:
    """A stem, stages of equal blocks, a head and a classifier.

    The first block of a stage may halve the image and changes the width; a block adds its input
    wherever that holds. The stem (convolution 3x3) may halve the image too; the head (convolution
    1x1) widens what the last stage returns. Where one pixel is left, halving is not offered.

    By default there are 120 x 320^6 (1.3e17) sets of parameters: 320 ways to make a stage, and
    120 ways to place at most five halvings of 32 pixels on the stem and six stages. Equal stages
    in a row, cut differently, are one network and have one digest.

    Args:
        input_shape: Shape of one sample (C, H, W).
        stages: Number of stages.
        depths: Smallest and largest number of blocks in a stage.
        operators: Operators of a stage, of "separable" (depthwise-separable 3x3) and "mbconv"
            (inverted residual).
        expands: Expansions of an inverted residual.
        kernels: Odd kernel sizes of an inverted residual.
        squeeze: Whether the blocks of a stage have squeeze-excitation.
        widths: Channels of a stage.
        downsample: Whether the stem, or a stage, halves the image.
        stem: Channels of the stem.
        head: Channels of the head.

    Raises:
        SpaceError: Bounds that allow nothing, at construction.

    Source: MobileNetV2, Sandler et al. 2018, arXiv:1801.04381; MobileNetV3 with
    squeeze-excitation and searched stages, Howard et al. 2019, arXiv:1905.02244.
    """

    input_shape: tuple[int, int, int] = (3, 32, 32)
    stages: int = 6
    depths: tuple[int, int] = (1, 4)
    operators: tuple[str, ...] = OPERATORS
    expands: tuple[int, ...] = (3, 4, 6)
    kernels: tuple[int, ...] = (3, 5, 7)
    squeeze: tuple[bool, ...] = (False, True)
    widths: tuple[int, ...] = (16, 24, 32, 48)
    downsample: tuple[bool, ...] = (False, True)
    stem: tuple[int, ...] = (16,)
    head: tuple[int, ...] = (256,)

    def __post_init__(self) -> None:
        (stages,) = check_sizes("stages", (self.stages,))
        legal = {
            "input_shape": check_image(self.input_shape),
            "stages": stages,
            "depths": check_range("depths", self.depths),
            "operators": check_options("operators", self.operators, OPERATORS),
            "expands": check_sizes("expands", self.expands),
            "kernels": check_odd("kernels", self.kernels),
            "squeeze": check_options("squeeze", self.squeeze, (False, True)),
            "widths": check_sizes("widths", self.widths),
            "downsample": check_options("downsample", self.downsample, (False, True)),
            "stem": check_sizes("stem", self.stem),
            "head": check_sizes("head", self.head),
        }
        for name, value in legal.items():
            object.__setattr__(self, name, value)
        self._check_pixels()

    def __call__(self, trial: BaseTrial) -> Architecture:
        """Draw an architecture: `stem`, `stage1_block1`, ..., `head` and `classify`."""
        pixels = max(self.input_shape[1:])
        stride = self._stride(trial, "stem", pixels)
        width = ask_size(trial, "stem.width", self.stem)
        nodes: list[tuple[str, str, dict[str, Any]]] = [
            ("stem", "conv", {"channels": width, "kernel": 3, "stride": stride})
        ]
        for number in range(1, self.stages + 1):
            pixels, incoming = strided(pixels, stride), width
            stage = f"stage{number}"
            stride = self._stride(trial, stage, pixels)
            width = ask_size(trial, f"{stage}.width", self.widths)
            nodes += self._stage(trial, stage, incoming, width, stride)
        head = ask_size(trial, "head.width", self.head)
        nodes.append(("head", "conv", {"channels": head, "kernel": 1}))
        return Architecture.chain([*nodes, ("classify", "classify", {})])

    def _stage(
        self, trial: BaseTrial, stage: str, incoming: int, width: int, stride: int
    ) -> list[tuple[str, str, dict[str, Any]]]:
        depth = ask_size(trial, f"{stage}.depth", range(self.depths[0], self.depths[1] + 1))
        kind, args = self._operator(trial, stage)
        nodes = []
        for number in range(1, depth + 1):
            residual = stride == 1 and incoming == width
            place = {"channels": width, "stride": stride, "residual": residual}
            nodes.append((f"{stage}_block{number}", kind, {**place, **args}))
            incoming, stride = width, 1
        return nodes

    def _operator(self, trial: BaseTrial, stage: str) -> tuple[str, dict[str, Any]]:
        kind = ask_option(trial, f"{stage}.operator", self.operators)
        args: dict[str, Any] = {"kernel": 3}
        if kind == "mbconv":
            args = {
                "expand": ask_size(trial, f"{stage}.mbconv.expand", self.expands),
                "kernel": ask_size(trial, f"{stage}.mbconv.kernel", self.kernels),
            }
        return kind, {**args, "squeeze": ask_option(trial, f"{stage}.squeeze", self.squeeze)}

    def _stride(self, trial: BaseTrial, name: str, pixels: int) -> int:
        """Ask whether to halve the image; a single pixel cannot be."""
        return 2 if pixels > 1 and ask_option(trial, f"{name}.downsample", self.downsample) else 1

    def _check_pixels(self) -> None:
        """With downsample=(True,) every place halves; the image must outlast them all."""
        halvings = 0 if False in self.downsample else self.stages + 1
        if max(self.input_shape[1:]) <= 2 ** (halvings - 1):
            raise SpaceError(
                f"expected an image that can be halved {halvings} times, got "
                f"input_shape={self.input_shape}; use fewer stages, or downsample=(False, True)"
            )
