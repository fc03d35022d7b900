"""Gradients by architecture parameters are those of what they claim to differentiate."""

from __future__ import annotations

import pytest
import torch
from mixing import CELLS, OUTPUTS, images, mixed, staged
from torch.nn.functional import cross_entropy

from optuna_nas.supernet.differentiable.hypergradient import (
    dominant_eigenvalue,
    first_order,
    second_order,
)

RATE, STEP = 0.1, 1e-5


@pytest.fixture(params=[staged, CELLS], ids=["staged", "cells"])
def problem(request):
    network, alphas, _ = mixed(request.param)
    batches = [(images(), torch.randint(OUTPUTS, (6,))) for _ in range(2)]
    training, validation = (lambda x=x, y=y: cross_entropy(network(x), y) for x, y in batches)
    weights = [p for p in network.parameters() if p.requires_grad]
    return training, validation, list(alphas.parameters()), weights


def ahead(problem) -> float:
    """Validation loss after a step of gradient descent, from which the weights come back."""
    training, validation, _, weights = problem
    before = [w.detach().clone() for w in weights]
    gradients = torch.autograd.grad(training(), weights)
    with torch.no_grad():
        for weight, gradient in zip(weights, gradients, strict=True):
            weight -= RATE * gradient
        loss = validation().item()
        for weight, value in zip(weights, before, strict=True):
            weight.copy_(value)
    return loss


def differences(loss, alphas) -> list[list[float]]:
    found = []
    for alpha in alphas:
        row = []
        for entry in range(len(alpha)):
            values = []
            for step in (STEP, -STEP):
                alpha.data[entry] += step
                values.append(loss())
                alpha.data[entry] -= step
            row.append((values[0] - values[1]) / (2 * STEP))
        found.append(row)
    return found


def test_the_first_order_is_the_gradient_with_fixed_weights(problem) -> None:
    _, validation, alphas, _ = problem
    found = first_order(validation, alphas)
    for gradient, row in zip(found, differences(lambda: validation().item(), alphas), strict=True):
        assert gradient.tolist() == pytest.approx(row, rel=1e-4, abs=1e-8)


def test_the_second_order_is_the_exact_gradient_through_a_step(problem) -> None:
    training, validation, alphas, weights = problem
    before = [w.detach().clone() for w in weights]
    found = second_order(training, validation, alphas, weights, RATE)
    assert all(torch.equal(*pair) for pair in zip(before, weights, strict=True))
    for gradient, row in zip(found, differences(lambda: ahead(problem), alphas), strict=True):
        assert gradient.tolist() == pytest.approx(row, rel=1e-4, abs=1e-8)
    plain = first_order(validation, alphas)
    assert any(not torch.allclose(*pair, rtol=1e-3) for pair in zip(found, plain, strict=True))


def test_the_eigenvalue_is_that_of_the_explicit_hessian(problem) -> None:
    _, validation, alphas, _ = problem
    rows = []
    gradient = torch.cat(torch.autograd.grad(validation(), alphas, create_graph=True))
    for entry in gradient:
        rows.append(torch.cat(torch.autograd.grad(entry, alphas, retain_graph=True)))
    values = torch.linalg.eigvalsh(torch.stack(rows))
    wanted = float(values[values.abs().argmax()])
    found = dominant_eigenvalue(validation(), alphas, iterations=1000, tolerance=1e-9)
    assert found == pytest.approx(wanted, rel=1e-3)


def test_the_eigenvalue_has_its_sign() -> None:
    x = torch.ones(3, requires_grad=True)
    curvatures = torch.tensor([1.0, -5.0, 2.0])
    assert dominant_eigenvalue((curvatures * x * x).sum() / 2, [x]) == pytest.approx(
        -5.0, rel=1e-2
    )
