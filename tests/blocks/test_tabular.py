"""Columns of categories as learned vectors."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from optuna_nas.blocks import EmbedColumns
from optuna_nas.exceptions import SpaceError


def test_each_category_of_each_column_has_a_vector_of_its_own() -> None:
    block = EmbedColumns((4,), categories=[(3, 2), (1, 3)], width=5)
    x = torch.tensor([[0.5, 2.0, -1.5, 1.0], [0.1, 0.0, 0.2, 0.0]])
    vectors = block.embedding.weight  # two of column 3, then three of column 1
    expected = torch.stack(
        [
            torch.cat((x[0, [0, 2]], vectors[1], vectors[4])),
            torch.cat((x[1, [0, 2]], vectors[0], vectors[2])),
        ]
    )
    torch.testing.assert_close(block(x), expected)
    assert block.output_shape((4,)) == (12,)


def test_numbers_beyond_the_categories_are_the_nearest_one() -> None:
    block = EmbedColumns((2,), categories=[(0, 2), (1, 3)], width=4)
    beyond, nearest = torch.tensor([[7.0, -3.0]]), torch.tensor([[1.0, 0.0]])
    assert torch.equal(block(beyond), block(nearest))


@pytest.mark.parametrize(
    ("shape", "categories", "message"),
    [
        ((3, 4), [(0, 2)], r"features \(F,\) to embed columns of, got \(3, 4\)"),
        ((3,), [(3, 2)], r"different columns from 0 to 2, got \[\(3, 2\)\]"),
        ((3,), [(1, 2), (1, 2)], "different columns"),
        ((3,), [(1, 0)], "pairs"),
        ((3,), [], "pairs"),
    ],
)
def test_columns_that_are_not_there_are_refused(
    shape: tuple[int, ...], categories: Any, message: str
) -> None:
    with pytest.raises(SpaceError, match=message):
        EmbedColumns(shape, categories=categories, width=2)
