"""A decoder of four layers: RMSNorm, rotary positions, grouped heads, SwiGLU."""

from __future__ import annotations

import torch
from optuna.trial import FixedTrial
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention, silu

from optuna_nas.architecture import Architecture
from optuna_nas.bench.written._parts import heads
from optuna_nas.spaces import Transformer

__all__ = ["INPUT_SHAPE", "OUTPUTS", "VOCABULARY", "architecture", "module"]

INPUT_SHAPE = (64,)
VOCABULARY = OUTPUTS = 64
WIDTH, LAYERS, HEADS, GROUPS, RATIO = 64, 4, 4, 2, 4
DIMENSION = WIDTH // HEADS


def architecture() -> Architecture:
    """Four heads of queries, two of keys and values."""
    space = Transformer(
        input_shape=INPUT_SHAPE,
        vocabulary=VOCABULARY,
        embeddings=(),
        layers=(LAYERS, LAYERS),
        widths=(WIDTH,),
        heads=(HEADS,),
        group_sizes=(HEADS // GROUPS,),
        patterns=("full",),
        positions=("rotary",),
        norms=("rms",),
        placements=("pre",),
        activations=("swiglu",),
        ratios=(RATIO,),
        shared_ratio=(True,),
        experts=(1,),
        tied=(False,),
    )
    return space(FixedTrial({}))


def module() -> nn.Module:
    """The same, as a list of layers."""
    return _Decoder()


class _Decoder(nn.Module):
    cos: Tensor
    sin: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.layers = nn.ModuleList(_Layer() for _ in range(LAYERS))
        self.norm = nn.RMSNorm(WIDTH)
        self.linear = nn.Linear(WIDTH, OUTPUTS)
        speed = 10_000.0 ** (-torch.arange(0, DIMENSION, 2) / DIMENSION)
        angle = torch.arange(*INPUT_SHAPE)[:, None] * speed
        self.register_buffer("cos", angle.cos(), persistent=False)
        self.register_buffer("sin", angle.sin(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embedding(x)
        for layer in self.layers:
            x = layer(x, self.cos, self.sin)
        out: Tensor = self.linear(self.norm(x)).transpose(1, 2)
        return out


class _Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(WIDTH)
        self.query = nn.Linear(WIDTH, WIDTH, bias=False)
        self.key = nn.Linear(WIDTH, GROUPS * DIMENSION, bias=False)
        self.value = nn.Linear(WIDTH, GROUPS * DIMENSION, bias=False)
        self.merge = nn.Linear(WIDTH, WIDTH, bias=False)
        self.widen = nn.Linear(WIDTH, RATIO * WIDTH, bias=False)
        self.gate = nn.Linear(WIDTH, RATIO * WIDTH, bias=False)
        self.narrow = nn.Linear(RATIO * WIDTH, WIDTH, bias=False)
        self.norm = nn.RMSNorm(WIDTH)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        x = x + self._attend(self.attention_norm(x), cos, sin)
        y = self.norm(x)
        out: Tensor = x + self.narrow(silu(self.widen(y)) * self.gate(y))
        return out

    def _attend(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        q = _rotated(heads(self.query(x), HEADS), cos, sin)
        k = _rotated(heads(self.key(x), GROUPS), cos, sin)
        v = heads(self.value(x), GROUPS)
        y = scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        out: Tensor = self.merge(y.transpose(1, 2).flatten(2))
        return out


def _rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, -1)
    return torch.cat((first * cos - second * sin, first * sin + second * cos), -1)
