"""What the forests learn from trials."""

import numpy as np
import pytest

from optuna_nas.samplers.surrogate import Surrogate


def told(noise, networks=60, ended=30):
    """Of networks of one gene, the best of which by the first rung were trained to the end."""
    rng = np.random.default_rng(0)
    seen = np.full((networks, 2, 1), np.nan)
    seen[:, 0, 0] = rng.normal(10, 1, networks)
    best = np.argsort(seen[:, 0, 0])[:ended]
    alike = (1 - noise**2) ** 0.5 * (seen[best, 0, 0] - 10)
    seen[best, 1, 0] = 5 + alike + noise * rng.normal(size=ended)
    columns = rng.random((networks, 1)).astype(np.float32)
    return Surrogate(columns, seen, [False], 1, 0, columns[:0], np.empty((0, 1))).told


def test_what_a_rung_tells_is_that_of_random_networks_not_of_those_chosen_by_it():
    assert told(0.0) > 0.9
    assert told(0.6) == pytest.approx(1 - 0.6**2, abs=0.2)
    assert told(1.0) < 0.2
