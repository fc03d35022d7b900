"""The focal loss against its formula."""

import torch
from torch.nn.functional import cross_entropy

from optuna_nas.model.focal import focal_loss

GENERATOR = torch.Generator().manual_seed(0)
LOGITS = torch.randn(12, 3, 5, generator=GENERATOR, dtype=torch.double)
Y = torch.randint(3, (12, 5), generator=GENERATOR)


def test_it_is_the_formula_at_every_position() -> None:
    p = LOGITS.softmax(1).gather(1, Y[:, None])[:, 0]
    torch.testing.assert_close(focal_loss(LOGITS, Y), ((1 - p) ** 2 * -p.log()).mean())


def test_weights_count_as_in_cross_entropy() -> None:
    weight = torch.tensor([1.0, 2.0, 5.0], dtype=torch.double)
    p = LOGITS.softmax(1).gather(1, Y[:, None])[:, 0]
    losses = weight[Y] * (1 - p) ** 2 * -p.log()
    torch.testing.assert_close(focal_loss(LOGITS, Y, weight), losses.sum() / weight[Y].sum())


def test_what_is_learned_counts_for_little() -> None:
    sure = 5.0 * torch.nn.functional.one_hot(Y, 3).movedim(-1, 1).double()
    assert focal_loss(sure, Y) < cross_entropy(sure, Y) / 1000
    assert focal_loss(-sure, Y) > cross_entropy(-sure, Y) / 2
