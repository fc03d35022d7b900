"""Which block configurations a space has."""

from __future__ import annotations

import pytest
import torch
from pretended import OUTPUTS, SHAPE, SPACE

from optuna_nas.exceptions import SpaceError
from optuna_nas.predictors.scan import PATIENCE, scan
from optuna_nas.spaces import CNN


def test_a_small_space_is_found_whole_and_the_scan_ends() -> None:
    space = CNN(input_shape=SHAPE, blocks=(1, 1), kernels=(3,), channels=(8, 16), squeeze=(False,))
    found = scan(space, SHAPE, OUTPUTS, samples=10 * PATIENCE)
    kinds = [configuration.kind for configuration in found.counts]
    assert sorted(kinds) == ["classify"] * 4 + ["conv"] * 4 + ["separable"] * 4
    assert found.unseen == 0
    assert len(found.news) < 2 * PATIENCE


def test_of_networks_alike_one_is_kept() -> None:
    space = CNN(input_shape=SHAPE, blocks=(1, 1), kernels=(3,), channels=(8, 16), squeeze=(False,))
    kept = scan(space, SHAPE, OUTPUTS, samples=200, first=200).first
    assert len({network.digest for network in kept}) == len(kept) < 200


def test_a_scan_that_is_cut_short_says_how_much_it_may_miss() -> None:
    found = scan(SPACE, SHAPE, OUTPUTS, samples=30, first=5)
    assert len(found.news) == 30
    assert found.unseen > 0.5
    assert len(found.first) == 5


def test_two_scans_with_one_seed_are_equal() -> None:
    one, other = (scan(SPACE, SHAPE, OUTPUTS, samples=20, first=3) for _ in range(2))
    assert one == other


def test_a_space_of_modules_is_refused() -> None:
    with pytest.raises(SpaceError, match="let the space return an Architecture"):
        scan(lambda trial: torch.nn.Linear(2, 2), (2,), 2, samples=3)
