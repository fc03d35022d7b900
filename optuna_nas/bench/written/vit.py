"""Four layers of full attention with four heads, on 64 patches."""

from __future__ import annotations

import torch
from optuna.trial import FixedTrial
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from optuna_nas.architecture import Architecture
from optuna_nas.spaces import ViT

__all__ = ["INPUT_SHAPE", "OUTPUTS", "architecture", "module"]

INPUT_SHAPE = (3, 32, 32)
OUTPUTS = 10
PATCH, WIDTH, HEADS, RATIO, LAYERS = 4, 64, 4, 4, 4


def architecture() -> Architecture:
    """The one network of a space with nothing to choose."""
    space = ViT(
        input_shape=INPUT_SHAPE,
        patches=(PATCH,),
        pools=("mean",),
        layers=(LAYERS, LAYERS),
        widths=(WIDTH,),
        heads=(HEADS,),
        group_sizes=(1,),
        patterns=("full",),
        positions=("learned",),
        norms=("layer",),
        placements=("pre",),
        activations=("gelu",),
        ratios=(RATIO,),
        shared_ratio=(True,),
        experts=(1,),
        top_k=(1,),
        tied=(False,),
    )
    return space(FixedTrial({}))


def module() -> nn.Module:
    """The same, as a sequence of attention and feed-forward layers."""
    layers = [layer for _ in range(LAYERS) for layer in (_Attention(), _FeedForward())]
    return nn.Sequential(_Patches(), _Position(), *layers, _Mean(), nn.Linear(WIDTH, OUTPUTS))


class _Patches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(INPUT_SHAPE[0], WIDTH, PATCH, PATCH)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x).flatten(2).transpose(1, 2)
        return out


class _Position(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        patches = INPUT_SHAPE[1] // PATCH * (INPUT_SHAPE[2] // PATCH)
        self.vectors = nn.Parameter(0.02 * torch.randn(patches, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.vectors


class _Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        self.query = nn.Linear(WIDTH, WIDTH, bias=False)
        self.key = nn.Linear(WIDTH, WIDTH, bias=False)
        self.value = nn.Linear(WIDTH, WIDTH, bias=False)
        self.project = nn.Linear(WIDTH, WIDTH, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x)
        q, k, v = (
            part(y).unflatten(2, (HEADS, -1)).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )
        y = scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        out: Tensor = x + self.project(y)
        return out


class _FeedForward(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.widen = nn.Linear(WIDTH, RATIO * WIDTH, bias=False)
        self.narrow = nn.Linear(RATIO * WIDTH, WIDTH, bias=False)
        self.norm = nn.LayerNorm(WIDTH)
        self.activation = nn.GELU()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.narrow(self.activation(self.widen(self.norm(x))))
        return out


class _Mean(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.norm(x).mean(1)
        return out
