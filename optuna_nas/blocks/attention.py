"""Multi-head attention.

Source: Vaswani et al. 2017, arXiv:1706.03762; grouped query heads, Ainslie et al. 2023,
arXiv:2305.13245; rotary positions, Su et al. 2021, arXiv:2104.09864; patterns, see `pattern`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from optuna_nas.blocks.block import Shape, register
from optuna_nas.blocks.pattern import PATTERNS, make_pattern
from optuna_nas.blocks.sublayer import Sublayer, expect_one_of
from optuna_nas.exceptions import SpaceError

__all__ = ["Attention", "Rotary", "expect_context"]


class Rotary(nn.Module):
    """Rotate pairs of features by an angle that grows with the position, (..., T, D) -> same.

    The product of a query and a key then depends on how far apart they are, not on where.

    Args:
        length: Positions T.
        dimension: Features D, an even number.
    """

    cos: Tensor
    sin: Tensor

    def __init__(self, length: int, dimension: int) -> None:
        super().__init__()
        speed = 10_000.0 ** (-torch.arange(0, dimension, 2) / dimension)
        angle = torch.arange(length)[:, None] * speed
        self.register_buffer("cos", angle.cos(), persistent=False)
        self.register_buffer("sin", angle.sin(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        first, second = x.chunk(2, -1)
        cos, sin = self.cos.to(x.dtype), self.sin.to(x.dtype)
        return torch.cat((first * cos - second * sin, first * sin + second * cos), -1)


@register("attention")
class Attention(Sublayer):
    """Multi-head self-attention with its residual connection, (B, T, C) -> (B, T, C).

    Args:
        shape: Shape of the input (T, C).
        heads: Query heads.
        dimension: Features of a head; by default C / heads.
        groups: Heads of keys and values, each for as many query heads; by default all their own.
        pattern: full, local, strided or linear: which positions a position sees.
        window: A local pattern sees positions less than this away.
        stride: A strided pattern sees those less than this away, and every stride-th.
        causal: Whether no position sees a later one.
        rotary: Whether queries and keys are rotated by their position.
        context: Cut the sequence into windows of this length, which do not see each other.
        norm: layer or rms.
        placement: Normalise before (pre) or after (post).

    Raises:
        SpaceError: Arguments that do not fit each other or the input.
    """

    choices = {
        "heads": (4, 8),
        "dimension": (8, 16),
        "groups": (4, 2, 1),
        "pattern": PATTERNS,
        "window": (4, 6),
        "stride": (4, 3),
        "causal": (False, True),
        "rotary": (False, True),
        "norm": ("layer", "rms"),
        "placement": ("pre", "post"),
    }

    def __init__(
        self,
        shape: Shape,
        *,
        heads: int,
        dimension: int | None = None,
        groups: int | None = None,
        pattern: str = "full",
        window: int = 8,
        stride: int = 4,
        causal: bool = False,
        rotary: bool = False,
        context: int | None = None,
        norm: str = "layer",
        placement: str = "pre",
    ) -> None:
        super().__init__(shape, norm=norm, placement=placement)
        length, width = shape
        self.heads, self.groups = heads, groups or heads
        self.dimension = dimension or _divided(width, heads)
        self.context = expect_context(length, context)
        self._check(pattern, window, stride, rotary)
        inside, narrow = heads * self.dimension, self.groups * self.dimension
        # Without biases: that of the keys would have no effect.
        self.query = nn.Linear(width, inside, bias=False)
        self.key = nn.Linear(width, narrow, bias=False)
        self.value = nn.Linear(width, narrow, bias=False)
        self.project = nn.Linear(inside, width, bias=False)
        self.rotate = Rotary(self.context, self.dimension) if rotary else nn.Identity()
        self.attend = make_pattern(pattern, self.context, window, stride, causal)

    def transform(self, x: Tensor) -> Tensor:
        windows = x.reshape(-1, self.context, x.shape[2])
        q = self._split(self.query(windows))
        k, v = (self._split(part(windows)) for part in (self.key, self.value))
        if self.groups < self.heads:
            k, v = (x.repeat_interleave(self.heads // self.groups, 1) for x in (k, v))
        y = self.attend(q, k, v, self.rotate).transpose(1, 2).flatten(2)
        out: Tensor = self.project(y)
        return out.reshape(x.shape)

    def _split(self, x: Tensor) -> Tensor:
        """Tell heads apart, (B, T, H * D) -> (B, H, T, D)."""
        heads = x.shape[2] // self.dimension
        return x.reshape(-1, x.shape[1], heads, self.dimension).transpose(1, 2)

    def _check(self, pattern: str, window: int, stride: int, rotary: bool) -> None:
        expect_one_of("pattern", pattern, PATTERNS)
        if self.heads % self.groups:
            raise SpaceError(
                f"expected groups that divide heads={self.heads}, got groups={self.groups}"
            )
        if window < 1 or stride < 1:
            raise SpaceError(
                f"expected window and stride of at least 1, got window={window}, stride={stride}"
            )
        if rotary and self.dimension % 2:
            raise SpaceError(
                f"expected heads of an even dimension for rotary=True, got {self.dimension}"
            )


def expect_context(length: int, context: int | None) -> int:
    """Return the length of the windows that a sequence is cut into; None for the whole.

    Raises:
        SpaceError: It does not divide the length.
    """
    if context is not None and (context < 1 or length % context):
        raise SpaceError(f"expected context that divides a length of {length}, got {context}")
    return context or length


def _divided(width: int, heads: int) -> int:
    if heads < 1 or width % heads:
        legal = [n for n in range(1, width + 1) if width % n == 0]
        raise SpaceError(f"expected heads that divide the width {width}: {legal}, got {heads}")
    return width // heads
