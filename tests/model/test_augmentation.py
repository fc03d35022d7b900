"""Images shifted, cut and mirrored as they are trained on."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from optuna_nas.exceptions import TrainingError
from optuna_nas.model import augment

HEIGHT, WIDTH = 16, 24
# Every pixel of an image tells its place, and which image it is of.
PLACES = torch.arange(1, 1 + HEIGHT * WIDTH).view(1, 1, HEIGHT, WIDTH)
IMAGES = (PLACES + 1000 * torch.arange(50).view(50, 1, 1, 1)).double()


def augmented(seed: int, strength: float, flip: bool = False) -> torch.Tensor:
    torch.manual_seed(seed)
    return augment(IMAGES, strength, flip)


@given(seed=st.integers(0, 1000), strength=st.floats(0, 1), flip=st.booleans())
def test_an_image_is_moved_as_a_whole_within_its_bounds(
    seed: int, strength: float, flip: bool
) -> None:
    for number, image in enumerate(augmented(seed, strength, flip)[:, 0]):
        rows, columns = image.nonzero(as_tuple=True)
        place = image[rows, columns] - 1000 * number - 1
        assert ((place >= 0) & (place < HEIGHT * WIDTH)).all()  # of no other image
        down = place // WIDTH - rows
        right = place % WIDTH - columns
        mirrored = place % WIDTH + columns
        assert len(down.unique()) == 1
        assert abs(down[0]) <= round(HEIGHT / 8 * strength)
        if not flip or len(right.unique()) == 1:
            assert len(right.unique()) == 1
            assert abs(right[0]) <= round(WIDTH / 8 * strength)
        else:
            assert len(mirrored.unique()) == 1
            assert abs(mirrored[0] - (WIDTH - 1)) <= round(WIDTH / 8 * strength)


def test_what_is_lost_is_a_rectangle_and_an_edge() -> None:
    lost = (augmented(0, 1.0) == 0)[:, 0]
    most = HEIGHT // 2 * (WIDTH // 2) + 2 * WIDTH + 3 * HEIGHT
    assert 0 < lost.sum((1, 2)).min() <= lost.sum((1, 2)).max() <= most
    assert lost.sum((1, 2)).double().std() > 0


def test_strength_zero_changes_nothing_and_half_are_mirrored() -> None:
    assert torch.equal(augmented(0, 0.0), IMAGES)
    flipped = augmented(0, 0.0, flip=True)
    mirrored = (flipped == IMAGES.flip(3)).flatten(1).all(1)
    same = (flipped == IMAGES).flatten(1).all(1)
    assert (mirrored ^ same).all()
    assert 10 < mirrored.sum() < 40


def test_the_seed_decides() -> None:
    assert torch.equal(augmented(3, 0.7, True), augmented(3, 0.7, True))
    assert not torch.equal(augmented(3, 0.7, True), augmented(4, 0.7, True))


def test_features_are_no_images() -> None:
    with pytest.raises(TrainingError, match=r"images \(B, C, H, W\) to augment.*\(8, 5\)"):
        augment(torch.zeros(8, 5), 0.5)
