"""What makes a sequence of vectors of an input, and tells its positions apart.

Source: learned and sinusoidal positions, Vaswani et al. 2017, arXiv:1706.03762; patches,
Dosovitskiy et al. 2020, arXiv:2010.11929; class token, Devlin et al. 2018, arXiv:1810.04805; an
embedding narrower than the model, Lan et al. 2019, arXiv:1909.11942.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from optuna_nas.blocks.attention import expect_context
from optuna_nas.blocks.block import Block, Shape, register
from optuna_nas.blocks.sublayer import expect_one_of, expect_sequence
from optuna_nas.exceptions import SpaceError

__all__ = ["ClassToken", "Crop", "Patches", "Position", "Projection", "Tokens"]

POSITIONS = ("learned", "sinusoidal")


@register("tokens")
class Tokens(Block):
    """A learned vector for each token id, (B, T) -> (B, T, features).

    Args:
        shape: Shape of the input (T,).
        vocabulary: Number of token ids, from 0.
        features: Features of the output.

    Raises:
        SpaceError: Not a sequence of token ids.
    """

    choices = {"vocabulary": (64, 256), "features": (16, 32)}
    input_dtype = torch.long

    def __init__(self, shape: Shape, *, vocabulary: int, features: int) -> None:
        super().__init__()
        if len(shape) != 1:
            raise SpaceError(f"expected a sequence of token ids (T,), got {tuple(shape)}")
        self.embedding = nn.Embedding(vocabulary, features)

    def output_shape(self, *shapes: Shape) -> Shape:
        return (*shapes[0], self.embedding.embedding_dim)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.embedding(x)
        return out


@register("projection")
class Projection(Block):
    """A linear layer at every position, (B, T, C) -> (B, T, features).

    Args:
        shape: Shape of the input (T, C).
        features: Features of the output.

    Raises:
        SpaceError: Not a sequence of vectors.
    """

    choices = {"features": (16, 32)}

    def __init__(self, shape: Shape, *, features: int) -> None:
        super().__init__()
        expect_sequence(shape)
        self.linear = nn.Linear(shape[1], features)

    def output_shape(self, *shapes: Shape) -> Shape:
        return (shapes[0][0], self.linear.out_features)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.linear(x)
        return out


@register("patches")
class Patches(Block):
    """A linear layer on each square patch, (B, C, H, W) -> (B, H/size * W/size, features).

    Args:
        shape: Shape of the input (C, H, W).
        size: Pixels of a patch's side; it divides height and width.
        features: Features of the output.

    Raises:
        SpaceError: Not an image, or a size that does not divide it.
    """

    choices = {"size": (1,), "features": (16, 32)}

    def __init__(self, shape: Shape, *, size: int, features: int) -> None:
        super().__init__()
        if len(shape) != 3 or size < 1 or shape[1] % size or shape[2] % size:
            raise SpaceError(
                f"expected an image (C, H, W) whose sides size={size} divides, got {tuple(shape)}"
            )
        self.conv = nn.Conv2d(shape[0], features, size, size)

    def output_shape(self, *shapes: Shape) -> Shape:
        size = self.conv.stride[0]
        return (shapes[0][1] // size * (shapes[0][2] // size), self.conv.out_channels)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x).flatten(2).transpose(1, 2)
        return out


@register("class_token")
class ClassToken(Block):
    """A learned vector before all others, (B, T, C) -> (B, 1 + T, C).

    Args:
        shape: Shape of the input (T, C).

    Raises:
        SpaceError: Not a sequence of vectors.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        expect_sequence(shape)
        self.token = nn.Parameter(0.02 * torch.randn(shape[1]))

    def output_shape(self, *shapes: Shape) -> Shape:
        return (1 + shapes[0][0], shapes[0][1])

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((self.token.expand(x.shape[0], 1, -1), x), 1)


@register("position")
class Position(Block):
    """Add a vector of each position, (B, T, C) -> (B, T, C).

    Args:
        shape: Shape of the input (T, C).
        encoding: learned or sinusoidal.
        context: Count positions anew every so many; by default never.

    Raises:
        SpaceError: Not a sequence of vectors, an unknown encoding, or a context that does not
            divide its length.
    """

    choices = {"encoding": POSITIONS}
    vectors: Tensor

    def __init__(
        self, shape: Shape, *, encoding: str = "learned", context: int | None = None
    ) -> None:
        super().__init__()
        expect_sequence(shape)
        expect_one_of("encoding", encoding, POSITIONS)
        length, width = expect_context(shape[0], context), shape[1]
        self.repeats = shape[0] // length
        if encoding == "learned":
            self.vectors = nn.Parameter(0.02 * torch.randn(length, width))
        else:
            self.register_buffer("vectors", _sinusoids(length, width), persistent=False)

    def output_shape(self, *shapes: Shape) -> Shape:
        return shapes[0]

    def forward(self, x: Tensor) -> Tensor:
        return x + (self.vectors if self.repeats == 1 else self.vectors.repeat(self.repeats, 1))


@register("crop")
class Crop(Block):
    """The last vectors of a sequence, (B, T, C) -> (B, length, C).

    Args:
        shape: Shape of the input (T, C).
        length: How many to keep.

    Raises:
        SpaceError: Not a sequence of vectors, or a shorter one.
    """

    choices = {"length": (8,)}

    def __init__(self, shape: Shape, *, length: int) -> None:
        super().__init__()
        expect_sequence(shape)
        if not 1 <= length <= shape[0]:
            raise SpaceError(f"expected length of 1 to {shape[0]}, got length={length}")
        self.length = length

    def output_shape(self, *shapes: Shape) -> Shape:
        return (self.length, shapes[0][1])

    def forward(self, x: Tensor) -> Tensor:
        return x[:, -self.length :]


def _sinusoids(length: int, width: int) -> Tensor:
    """Sines in the first half of the features and cosines in the second, (T, C)."""
    half = (width + 1) // 2
    speed = 10_000.0 ** (-torch.arange(half) / half)
    angle = torch.arange(length)[:, None] * speed
    return torch.cat((angle.sin(), angle.cos()), 1)[:, :width]
