"""Chains of fully connected layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from counting import everything
from optuna.trial import FixedTrial

import optuna_nas as nas
from optuna_nas.exceptions import SpaceError
from optuna_nas.spaces import MLP

SHARED = {"norm": "batch", "activation": "gelu", "dropout_index": 1, "layers_index": 0}


def test_each_layer_has_its_width() -> None:
    widths = {"shared_width": False, "layer1.width_index": 0, "layer2.width_index": 3}
    assert MLP()(FixedTrial({**SHARED, **widths})).describe() == (
        "linear_f128_batch_gelu_dropout0.1 > linear_f1024_batch_gelu_dropout0.1 > classify"
    )


def test_a_shared_width_is_the_network_with_equal_widths() -> None:
    space = MLP()
    one = space(FixedTrial({**SHARED, "shared_width": True, "width_index": 2}))
    each = {"shared_width": False, "layer1.width_index": 2, "layer2.width_index": 2}
    assert space(FixedTrial({**SHARED, **each})).digest == one.digest


def test_counts_as_many_sets_of_parameters_as_documented() -> None:
    """In small: choices for all layers, times own and shared widths for each number of layers."""
    drawn = everything(MLP(layers=(1, 2, 4), widths=(8, 16), norms=("none",), dropouts=(0.0, 0.1)))
    assert len(drawn) == 3 * 2 * sum(2**n + 2 for n in (1, 2, 4))
    assert len({architecture.digest for architecture in drawn}) == 3 * 2 * (2 + 4 + 16)
    own = [4**n for n in (2, 3, 4, 6, 8)]
    assert f"{36 * sum(n + 4 for n in own):,}" in str(MLP.__doc__)
    assert f"{36 * sum(own):,}" in str(MLP.__doc__)


def test_categories_are_embedded_before_the_first_layer() -> None:
    space = MLP(categories={4: 3, 1: 2}, embeddings=(2, 4))
    trial = FixedTrial({**SHARED, "shared_width": True, "width_index": 0, "embedding": 4})
    architecture = space(trial)
    assert architecture.describe().startswith(
        "embed_columns_categories1x2x4x3_width4 > 2 x linear"
    )
    assert nas.build(architecture, (5,), 1).layer1.linear.in_features == 3 + 2 * 4
    with pytest.raises(SpaceError, match=r"different columns from 0 to 3, got \[\(1, 2\), \(4, 3"):
        nas.build(architecture, (4,), 1)


def test_categories_come_from_the_data() -> None:
    x = np.column_stack([np.arange(60.0), np.arange(60) % 4])
    data = nas.datasets.ArrayDataModule(x, np.arange(60.0), categorical=(1,))
    assert MLP(categories=data.categories) == MLP(categories=[(1, 4)])


@pytest.mark.parametrize("shape", [(13,), (1, 8, 8), (3, 5, 7), (2, 50)])
@pytest.mark.parametrize("outputs", [1, 10])
def test_takes_features_images_and_signals_for_values_or_classes(
    shape: tuple[int, ...], outputs: int
) -> None:
    trial = FixedTrial({**SHARED, "shared_width": True, "width_index": 0})
    network = nas.build(MLP()(trial), shape, outputs)
    assert network(torch.randn(4, *shape)).shape == (4, outputs)


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({"layers": ()}, "layers to hold different values"),
        ({"layers": (0, 2)}, r"layers of integers in \[1, inf\), got \(0, 2\)"),
        ({"widths": (-1,)}, "widths of integers"),
        ({"activations": ("tanh",)}, "activations among"),
        ({"norms": "batch-norm"}, r"norms among .* got \('batch-norm',\)"),
        ({"dropouts": (0.5, 1.0)}, r"dropouts of numbers in \[0.0, 1.0\), got \(0.5, 1.0\)"),
        ({"categories": {1: 0}}, r"categories=\{column: count\}.* got \{1: 0\}"),
        ({"categories": {-1: 2}}, "different columns from 0"),
        ({"categories": [(1, 2), (1, 3)]}, "different columns"),
        ({"categories": {"sex": 2}}, "different columns"),
        ({"embeddings": (0,)}, "embeddings of integers"),
    ],
)
def test_bounds_that_allow_nothing_are_refused(bounds: dict[str, Any], message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        MLP(**bounds)
