"""Tables whose columns are numbers and categories.

Source: entity embeddings, Guo and Berkhahn 2016, arXiv:1604.06737.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from optuna_nas.blocks.block import Block, Shape, register
from optuna_nas.exceptions import SpaceError

__all__ = ["EmbedColumns"]


@register("embed_columns")
class EmbedColumns(Block):
    """A learned vector for each category of some columns, (B, F) -> (B, F + k (width - 1)).

    Of k columns the numbers of the categories, from 0, are replaced; the other columns come
    first, as they are. A number beyond the categories is taken as the nearest one.

    Args:
        shape: Shape of the input (F,).
        categories: Pairs (column, number of categories), columns counted from 0.
        width: Features of a category.

    Raises:
        SpaceError: No features (F,), or categories that are none of its columns, or one twice.
    """

    choices = {"categories": ([[0, 2]], [[1, 3], [4, 2]]), "width": (2, 4)}
    columns: Tensor
    others: Tensor
    last: Tensor
    first: Tensor

    def __init__(self, shape: Shape, *, categories: Sequence[tuple[int, int]], width: int) -> None:
        super().__init__()
        columns, counts = _checked(shape, categories)
        others = [column for column in range(shape[0]) if column not in columns]
        self.embedding = nn.Embedding(sum(counts), width)  # one lookup for all columns
        first = [sum(counts[:place]) for place in range(len(counts))]
        for name, numbers in {
            "columns": columns,
            "others": others,
            "last": [count - 1 for count in counts],
            "first": first,
        }.items():
            self.register_buffer(name, torch.tensor(numbers, dtype=torch.long), persistent=False)

    def output_shape(self, *shapes: Shape) -> Shape:
        return (len(self.others) + len(self.columns) * self.embedding.embedding_dim,)

    def forward(self, x: Tensor) -> Tensor:
        numbers = x.index_select(1, self.columns).long().clamp(min=0)
        vectors = self.embedding(torch.minimum(numbers, self.last) + self.first)
        return torch.cat((x.index_select(1, self.others), vectors.flatten(1)), 1)


def _checked(shape: Shape, categories: Sequence[tuple[int, int]]) -> tuple[list[int], list[int]]:
    if len(shape) != 1:
        raise SpaceError(f"expected features (F,) to embed columns of, got {tuple(shape)}")
    columns, counts = ([pair[place] for pair in categories] for place in (0, 1))
    legal = set(columns) <= set(range(shape[0])) and len(set(columns)) == len(columns)
    if not columns or not legal or min(counts) < 1:
        raise SpaceError(
            f"expected categories as pairs (column, count) of different columns from 0 to "
            f"{shape[0] - 1}, got {list(map(tuple, categories))}"
        )
    return columns, counts
