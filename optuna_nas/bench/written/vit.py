"""Four layers on patches of 4 x 4 pixels, with a class token and learned positions."""

from __future__ import annotations

import torch
from optuna.trial import FixedTrial
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention

from optuna_nas.architecture import Architecture
from optuna_nas.bench.written._parts import heads
from optuna_nas.spaces import ViT

__all__ = ["INPUT_SHAPE", "OUTPUTS", "architecture", "module"]

INPUT_SHAPE = (3, 32, 32)
OUTPUTS = 10
WIDTH, LAYERS, HEADS = 64, 4, 4
PATCHES = 8 * 8


def architecture() -> Architecture:
    """Four heads, GELU, layer norm before each part."""
    space = ViT(
        patches=(4,),
        pools=("first",),
        layers=(LAYERS, LAYERS),
        widths=(WIDTH,),
        heads=(HEADS,),
        group_sizes=(1,),
        patterns=("full",),
        positions=("learned",),
        norms=("layer",),
        placements=("pre",),
        activations=("gelu",),
        ratios=(4,),
        shared_ratio=(True,),
        experts=(1,),
        tied=(False,),
    )
    return space(FixedTrial({}))


def module() -> nn.Module:
    """The same, as a list of layers."""
    return _ViT()


class _ViT(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, WIDTH, 4, stride=4)
        self.embed = _Embed()
        self.layers = nn.Sequential(*(_Layer() for _ in range(LAYERS)))
        self.norm = nn.LayerNorm(WIDTH)
        self.linear = nn.Linear(WIDTH, OUTPUTS)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = self.layers(self.embed(x))
        out: Tensor = self.linear(self.norm(x[:, 0]))
        return out


class _Embed(nn.Module):
    """Put a class token before the patches, and tell positions."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(0.02 * torch.randn(WIDTH))
        self.position = nn.Parameter(0.02 * torch.randn(1 + PATCHES, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((self.token.expand(x.shape[0], 1, -1), x), 1) + self.position


class _Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(WIDTH)
        self.query = nn.Linear(WIDTH, WIDTH, bias=False)
        self.key = nn.Linear(WIDTH, WIDTH, bias=False)
        self.value = nn.Linear(WIDTH, WIDTH, bias=False)
        self.merge = nn.Linear(WIDTH, WIDTH, bias=False)
        self.widen = nn.Linear(WIDTH, 4 * WIDTH, bias=False)
        self.narrow = nn.Linear(4 * WIDTH, WIDTH, bias=False)
        self.norm = nn.LayerNorm(WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        y = self.attention_norm(x)
        q, k, v = (heads(project(y), HEADS) for project in (self.query, self.key, self.value))
        x = x + self.merge(scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        out: Tensor = x + self.narrow(gelu(self.widen(self.norm(x))))
        return out
