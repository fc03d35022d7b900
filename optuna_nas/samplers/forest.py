"""Forests that tell the worth of networks from their genes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import config_context
from sklearn.tree import ExtraTreeRegressor

__all__ = ["Columns", "Floats", "Forest"]

Floats = NDArray[np.float64]
Columns = NDArray[np.float32]

TREES = 60
"""Of which one, drawn at random, is a sample of what might be true."""
MOST = 500
"""Networks, drawn at random, that one tree is grown from."""


class Forest:
    """Extremely randomised trees, half of which see only the columns that tell most.

    Args:
        columns: Genes (N, C).
        values: What the networks are worth (N,).
        telling: How many columns, the first ones, half of the trees see.
        seed: Seed of the trees.
        smallest: Fewest networks in a leaf.
        trees: How many.

    Source: Geurts, Ernst and Wehenkel 2006, doi:10.1007/s10994-006-6226-1.
    """

    def __init__(
        self,
        columns: Columns,
        values: Floats,
        telling: int,
        seed: int,
        smallest: int = 1,
        trees: int = TREES,
    ) -> None:
        rng = np.random.default_rng(seed)
        self._trees = []
        for width in (telling, columns.shape[1]):
            view = np.ascontiguousarray(columns[:, :width], dtype=np.float32)
            for _ in range(trees // 2):
                some = _some(len(values), rng)
                self._trees.append((width, _grown(view[some], values[some], smallest, rng)))

    def __call__(self, columns: Columns) -> Floats:
        """Each tree's prediction (trees, N)."""
        views = {
            width: np.ascontiguousarray(columns[:, :width], dtype=np.float32)
            for width, _ in self._trees
        }
        told: Floats = np.stack([tree.predict(views[width])[:, 0] for width, tree in self._trees])
        return told

    def sample(self, columns: Columns, rng: np.random.Generator) -> Floats:
        """The predictions of one tree, drawn at random (N,)."""
        width, tree = self._trees[int(rng.integers(len(self._trees)))]
        told: Floats = tree.predict(np.ascontiguousarray(columns[:, :width]))[:, 0]
        return told


def _some(count: int, rng: np.random.Generator) -> NDArray[np.int64] | slice:
    """Which of the networks a tree is grown from."""
    return rng.choice(count, MOST, replace=False) if count > MOST else slice(None)


def _grown(columns: Columns, values: Floats, smallest: int, rng: np.random.Generator) -> Any:
    """One tree: the class for forests takes longer to copy it than to grow it."""
    tree = ExtraTreeRegressor(
        max_features=0.5, min_samples_leaf=smallest, random_state=int(rng.integers(2**32))
    )
    with config_context(skip_parameter_validation=True):  # it takes as long as to grow
        return tree.fit(columns, values, check_input=False).tree_
