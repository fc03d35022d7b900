"""Networks made by hand, in plain PyTorch, for a search to be compared with.

Both networks of images are made for small ones: they halve an image only while it is larger than
four pixels.

Source: residual networks, He et al. 2016, arXiv:1512.03385; MobileNetV3-small, Howard et al. 2019,
arXiv:1905.02244.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from optuna_nas.exceptions import DescriptionError

__all__ = ["REFERENCES", "Reference", "control", "references", "scaled"]

LEAST = 4
"""Pixels below which no stride halves an image."""
WIDEST = 1024
NEAR = 0.25
"""Share by which a control may be larger or smaller than the finalist that it stands beside."""


@dataclass(frozen=True)
class Reference:
    """A network made by hand, as a space with one network.

    Args:
        make: Input shape, outputs and width -> module.
        input_shape: Shape of one sample.
        outputs: Values per sample.
        width: Channels, or features, of the first layer; the others grow with it.
    """

    make: Callable[[tuple[int, ...], int, int], nn.Module]
    input_shape: tuple[int, ...]
    outputs: int
    width: int

    def __call__(self, trial: Any) -> nn.Module:
        """Make it, whatever the trial is."""
        return self.make(self.input_shape, self.outputs, self.width)

    @property
    def parameters(self) -> int:
        """Number of its weights."""
        with torch.device("meta"):
            return sum(p.numel() for p in self(None).parameters())


def scaled(reference: Reference, parameters: float) -> Reference:
    """The same network, as wide as makes its number of weights come nearest to another's.

    Args:
        reference: The network.
        parameters: Weights that it shall have.
    """

    def at(width: int) -> Reference:
        return Reference(reference.make, reference.input_shape, reference.outputs, width)

    low, high = 1, WIDEST
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if at(middle).parameters <= parameters else (low, middle)
    return min(map(at, (low, high)), key=lambda r: abs(r.parameters - parameters))


def control(
    input_shape: tuple[int, ...], outputs: int, parameters: float
) -> tuple[str, Reference] | None:
    """A network made by hand with as many weights as another, and its name; None if none is near.

    It is the first of `CONTROLS` that can be so small or large, within `NEAR`.

    Args:
        input_shape: Shape of one sample.
        outputs: Values per sample.
        parameters: Weights that it shall have.
    """
    for name, make in CONTROLS.get(len(input_shape), {}).items():
        found = scaled(Reference(make, input_shape, outputs, 1), parameters)
        if abs(found.parameters - parameters) <= NEAR * parameters:
            return name, found
    return None


def resnet18(input_shape: tuple[int, ...], outputs: int, width: int) -> nn.Module:
    """Four stages of two basic blocks, (B, C, H, W) -> (B, outputs), 64 channels in the paper."""
    size, inside = max(input_shape[1:]), width
    layers: list[nn.Module] = [*_convolution(input_shape[0], width, 3), nn.ReLU()]
    for stage in range(4):
        outside = width * 2**stage
        stride = 2 if stage and size > LEAST else 1
        size = -(-size // stride)
        layers += [_Basic(inside, outside, stride), _Basic(outside, outside, 1)]
        inside = outside
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inside, outputs)
    )


def mobilenet_v3_small(input_shape: tuple[int, ...], outputs: int, width: int) -> nn.Module:
    """Eleven inverted residuals, (B, C, H, W) -> (B, outputs), 16 channels at first in the paper.

    Kernels, expansions, squeeze-excitation and activations are the paper's; channels are its own
    times width / 16.
    """
    size, inside = max(input_shape[1:]), width
    layers: list[nn.Module] = [*_convolution(input_shape[0], width, 3), nn.Hardswish()]
    for kernel, hidden, channels, squeeze, hard, strided in _V3_SMALL:
        stride = 2 if strided and size > LEAST else 1
        size = -(-size // stride)
        sizes = (_part(width, hidden), _part(width, channels))
        layers.append(_Inverted(inside, *sizes, kernel, stride, squeeze, hard))
        inside = sizes[1]
    wide = _part(width, 576)
    layers += [*_convolution(inside, wide, 1), nn.Hardswish()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(wide, outputs))


def convnet(input_shape: tuple[int, ...], outputs: int, width: int) -> nn.Module:
    """Two convolutions, (B, C, H, W) -> (B, outputs): what a few dozen weights are enough for."""
    size, inside = max(input_shape[1:]), input_shape[0]
    layers: list[nn.Module] = []
    for outside in (width, 2 * width):
        stride = 2 if size > LEAST else 1
        size = -(-size // stride)
        layers += [*_convolution(inside, outside, 3, stride), nn.ReLU()]
        inside = outside
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inside, outputs)
    )


def mlp(input_shape: tuple[int, ...], outputs: int, width: int) -> nn.Module:
    """Two hidden layers, (B, F) -> (B, outputs)."""
    hidden = [nn.Linear(input_shape[0], width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()]
    return nn.Sequential(*hidden, nn.Linear(width, outputs))


REFERENCES: dict[int, dict[str, tuple[Callable[..., nn.Module], int]]] = {
    3: {"resnet18-like": (resnet18, 16), "mobilenetv3-small-like": (mobilenet_v3_small, 16)},
    1: {"mlp": (mlp, 64)},
}
"""Rank of the inputs -> name -> network and its width."""
CONTROLS: dict[int, dict[str, Callable[..., nn.Module]]] = {
    3: {"resnet18-like": resnet18, "convnet": convnet},
    1: {"mlp": mlp},
}
"""Rank of the inputs -> networks that are scaled to the size of a finalist, the first that can."""

_V3_SMALL = (
    (3, 16, 16, True, False, True),
    (3, 72, 24, False, False, True),
    (3, 88, 24, False, False, False),
    (5, 96, 40, True, True, True),
    (5, 240, 40, True, True, False),
    (5, 240, 40, True, True, False),
    (5, 120, 48, True, True, False),
    (5, 144, 48, True, True, False),
    (5, 288, 96, True, True, True),
    (5, 576, 96, True, True, False),
    (5, 576, 96, True, True, False),
)


class _Basic(nn.Module):
    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        first = (*_convolution(inside, outside, 3, stride), nn.ReLU())
        self.residual = nn.Sequential(*first, *_convolution(outside, outside, 3))
        same = inside == outside and stride == 1
        shortcut = () if same else _convolution(inside, outside, 1, stride)
        self.shortcut = nn.Sequential(*shortcut)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.residual(x) + self.shortcut(x)
        return y.relu()


class _Inverted(nn.Module):
    def __init__(
        self,
        inside: int,
        hidden: int,
        outside: int,
        kernel: int,
        stride: int,
        squeeze: bool,
        hard: bool,
    ) -> None:
        super().__init__()
        active = nn.Hardswish if hard else nn.ReLU
        self.layers = nn.Sequential(
            *(*_convolution(inside, hidden, 1), active()),
            *(*_convolution(hidden, hidden, kernel, stride, groups=hidden), active()),
            *([_Squeeze(hidden)] if squeeze else []),
            *_convolution(hidden, outside, 1),
        )
        self.residual = stride == 1 and inside == outside

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return x + y if self.residual else y


class _Squeeze(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        few = max(1, channels // 4)
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            *(nn.Conv2d(channels, few, 1), nn.ReLU()),
            *(nn.Conv2d(few, channels, 1), nn.Hardsigmoid()),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x * self.gate(x)
        return y


def _convolution(
    inside: int, outside: int, kernel: int, stride: int = 1, groups: int = 1
) -> tuple[nn.Module, nn.Module]:
    convolution = nn.Conv2d(
        inside, outside, kernel, stride, kernel // 2, groups=groups, bias=False
    )
    return convolution, nn.BatchNorm2d(outside)


def _part(width: int, channels: int) -> int:
    """Channels of the paper at another width."""
    return max(1, round(channels * width / 16))


def references(input_shape: tuple[int, ...], outputs: int | None) -> dict[str, Reference]:
    """The networks made by hand for inputs of a shape; none where there are none of its rank.

    Raises:
        DescriptionError: The data does not say how many outputs a network needs.
    """
    if outputs is None:
        raise DescriptionError("expected data with an attribute `outputs`, got one without")
    known = REFERENCES.get(len(input_shape), {})
    return {
        name: Reference(make, input_shape, outputs, width) for name, (make, width) in known.items()
    }
