"""Which positions attend to which: queries (B, H, T, D) -> (B, H, T, D).

Keys and values are (B, G, T, D): each of their heads serves H / G heads of queries.

Source: full, Vaswani et al. 2017, arXiv:1706.03762; local windows, Beltagy et al. 2020,
arXiv:2004.05150; strided, Child et al. 2019, arXiv:1904.10509, section 4.2, both of its parts in
each head; linear, Katharopoulos et al. 2020, arXiv:2006.16236.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import elu, pad, scaled_dot_product_attention

__all__ = ["PATTERNS", "Full", "Linear", "Local", "Strided", "make_pattern"]

Rotate = Callable[[Tensor], Tensor]
CHUNK = 32
EPSILON = 1e-6


class Full(nn.Module):
    """Every position sees every other; where causal, none that is later."""

    def __init__(self, causal: bool) -> None:
        super().__init__()
        self.causal = causal

    def forward(self, q: Tensor, k: Tensor, v: Tensor, rotate: Rotate) -> Tensor:
        return scaled_dot_product_attention(
            rotate(q), rotate(k), v, is_causal=self.causal, enable_gqa=q.shape[1] > k.shape[1]
        )


class Strided(nn.Module):
    """A position sees those less than `stride` away, and every `stride`-th of the others.

    Scores of all pairs are computed and masked, so it costs as much as full attention.
    """

    visible: Tensor

    def __init__(self, length: int, stride: int, causal: bool) -> None:
        super().__init__()
        distance = _distances(torch.arange(length), torch.arange(length))
        visible = (distance.abs() < stride) | (distance % stride == 0)
        visible &= (distance >= 0) | (not causal)
        self.register_buffer("visible", visible, persistent=False)

    def forward(self, q: Tensor, k: Tensor, v: Tensor, rotate: Rotate) -> Tensor:
        return scaled_dot_product_attention(
            rotate(q), rotate(k), v, self.visible, enable_gqa=q.shape[1] > k.shape[1]
        )


class Local(nn.Module):
    """A position sees those less than `window` away, at a cost of length x window.

    The sequence is cut into chunks of a window; a chunk sees itself and its neighbours.
    """

    visible: Tensor

    def __init__(self, length: int, window: int, causal: bool) -> None:
        super().__init__()
        self.window = window
        self.chunks = -(-length // window)
        self.seen = (-1, 0) if causal else (-1, 0, 1)
        query = torch.arange(self.chunks * window).view(self.chunks, window)
        first = window * torch.arange(self.chunks)[:, None]
        key = first + torch.arange(-window, window * (len(self.seen) - 1))
        distance = _distances(query, key)
        visible = (distance.abs() < window) & ((distance >= 0) | (not causal))
        # What pads the end sees itself: a row that sees nothing would be NaN.
        there = (key >= 0) & (key < length)
        visible &= there[:, None, :] | (distance == 0)
        self.register_buffer("visible", visible, persistent=False)

    def forward(self, q: Tensor, k: Tensor, v: Tensor, rotate: Rotate) -> Tensor:
        heads, length = q.shape[1:3]
        # Chunks as further heads: fused attention and exports take four dimensions.
        parts = (
            _cut(rotate(q), self.chunks, self.window),
            _shared(self._neighbours(rotate(k)), q),
            _shared(self._neighbours(v), q),
        )
        query, key, value = (part.flatten(1, 2) for part in parts)
        visible = self.visible.repeat(heads, 1, 1)
        y = scaled_dot_product_attention(query, key, value, attn_mask=visible)
        return y.reshape(-1, heads, self.chunks * self.window, y.shape[3])[:, :, :length]

    def _neighbours(self, x: Tensor) -> Tensor:
        """Chunks with those they see, (B, H, T, D) -> (B, H, chunks, len(seen) * window, D)."""
        x = pad(_cut(x, self.chunks, self.window), (0, 0, 0, 0, 1, len(self.seen) - 2))
        parts = [x[:, :, place : place + self.chunks] for place in range(len(self.seen))]
        return torch.cat(parts, dim=3)


class Linear(nn.Module):
    """Every position (that is not later) counts by a product of features elu + 1, not a softmax.

    It costs as much a position however many there are. Rotations come after the features, and
    leave the denominator alone, as in Su et al. 2021, arXiv:2104.09864, equation 19.
    """

    causal_in_chunk: Tensor

    def __init__(self, causal: bool) -> None:
        super().__init__()
        self.causal = causal
        below = torch.ones(CHUNK, CHUNK).tril()
        self.register_buffer("causal_in_chunk", below, persistent=False)

    def forward(self, q: Tensor, k: Tensor, v: Tensor, rotate: Rotate) -> Tensor:
        q, k = elu(q) + 1, elu(k) + 1
        total = k.cumsum(2) if self.causal else k.sum(2, keepdim=True)
        weight = (q * _shared(total, q)).sum(-1, keepdim=True) + EPSILON
        q, k, v = rotate(q), _shared(rotate(k), q), _shared(v, q)
        y = self._causal(q, k, v) if self.causal else q @ (k.mT @ v)
        return y / weight

    def _causal(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Sums over earlier chunks as states (D, D), and over the own chunk pair by pair."""
        length = q.shape[2]
        chunks = -(-length // CHUNK)
        q, k, v = (_cut(x, chunks, CHUNK) for x in (q, k, v))
        states = k.mT @ v
        y = q @ (states.cumsum(2) - states) + (q @ k.mT * self.causal_in_chunk) @ v
        return y.flatten(2, 3)[:, :, :length]


PATTERNS = ("full", "local", "strided", "linear")


def make_pattern(name: str, length: int, window: int, stride: int, causal: bool) -> nn.Module:
    """Return one of `PATTERNS` for sequences of a length."""
    if name == "local" and window < length:
        return Local(length, window, causal)
    if name == "strided":
        return Strided(length, stride, causal)
    return Linear(causal) if name == "linear" else Full(causal)


def _shared(x: Tensor, q: Tensor) -> Tensor:
    """Repeat heads of keys or values for those of queries that share them, (B, G, ...)."""
    times = q.shape[1] // x.shape[1]
    return x if times == 1 else x.repeat_interleave(times, 1)


def _distances(query: Tensor, key: Tensor) -> Tensor:
    """How much later queries (..., Q) are than keys (..., K), as (..., Q, K)."""
    return query[..., :, None] - key[..., None, :]


def _cut(x: Tensor, chunks: int, size: int) -> Tensor:
    """Chunks (B, H, T, D) -> (B, H, chunks, size, D), the last one padded."""
    x = pad(x, (0, 0, 0, chunks * size - x.shape[2]))
    return x.reshape(-1, x.shape[1], chunks, size, x.shape[3])
