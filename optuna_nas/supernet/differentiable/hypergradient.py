"""Gradients of the validation loss by architecture parameters, and its curvature in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.autograd import grad

__all__ = ["dominant_eigenvalue", "first_order", "second_order"]

Loss = Callable[[], Tensor]


def first_order(validation: Loss, alphas: Sequence[Tensor]) -> list[Tensor]:
    """Gradient of the validation loss with the weights as they are.

    Args:
        validation: Validation loss.
        alphas: Architecture parameters.
    """
    return _filled(grad(validation(), list(alphas), allow_unused=True), alphas)


def second_order(
    training: Loss,
    validation: Loss,
    alphas: Sequence[Tensor],
    weights: Sequence[Tensor],
    rate: float,
) -> list[Tensor]:
    """Gradient of the validation loss after one step of gradient descent of the weights.

    The product with second derivatives is exact, by differentiating twice; the paper takes a
    finite difference. The weights end as they were.

    Args:
        training: Training loss, by which the weights take the step.
        validation: Validation loss.
        alphas: Architecture parameters.
        weights: Weights of the network.
        rate: Learning rate of the step.

    Source: DARTS, Liu et al. 2019, arXiv:1806.09055, equation 7.
    """
    both = [*alphas, *weights]
    inner = _filled(grad(training(), list(weights), create_graph=True, allow_unused=True), weights)
    with _moved(weights, inner, rate):
        outer = _filled(grad(validation(), both, allow_unused=True), both)
    direct, through = outer[: len(alphas)], outer[len(alphas) :]
    product = torch.stack([(g * v).sum() for g, v in zip(inner, through, strict=True)]).sum()
    mixed = _filled(grad(product, list(alphas), allow_unused=True), alphas)
    return [d - rate * m for d, m in zip(direct, mixed, strict=True)]


def dominant_eigenvalue(
    loss: Tensor,
    parameters: Sequence[Tensor],
    iterations: int = 30,
    tolerance: float = 1e-3,
    seed: int = 0,
) -> float:
    """Eigenvalue of largest magnitude of the Hessian of a loss, by power iteration.

    Args:
        loss: The loss.
        parameters: By which it is differentiated.
        iterations: Products of the Hessian with a vector, at most.
        tolerance: Relative change between two of them at which it ends.
        seed: Of the vector at first.

    Source: Zela et al. 2020, arXiv:1909.09656; products by differentiating twice: Pearlmutter
    1994, doi:10.1162/neco.1994.6.1.147.
    """
    gradient = _flat(grad(loss, list(parameters), create_graph=True), parameters)
    generator = torch.Generator().manual_seed(seed)
    vector = torch.randn(len(gradient), generator=generator).to(gradient)
    value = 0.0
    for _ in range(iterations):
        vector = vector / vector.norm()
        image = _flat(
            grad(gradient @ vector, list(parameters), retain_graph=True, allow_unused=True),
            parameters,
        )
        before, value = value, float(vector @ image)
        if not image.norm() or abs(value - before) <= tolerance * abs(value):
            break
        vector = image
    return value


@contextmanager
def _moved(weights: Sequence[Tensor], gradient: Sequence[Tensor], rate: float) -> Iterator[None]:
    """Weights after a step, and then as they were: so autograd, which must go on, is not told."""
    before = [weight.detach().clone() for weight in weights]
    try:
        for weight, step in zip(weights, gradient, strict=True):
            weight.data.sub_(step.detach(), alpha=rate)
        yield
    finally:
        for weight, value in zip(weights, before, strict=True):
            weight.data.copy_(value)


def _filled(found: Sequence[Tensor | None], like: Sequence[Tensor]) -> list[Tensor]:
    """Gradients, zeros where something was not used."""
    return [torch.zeros_like(t) if g is None else g for g, t in zip(found, like, strict=True)]


def _flat(found: Sequence[Tensor | None], like: Sequence[Tensor]) -> Tensor:
    return torch.cat([g.reshape(-1) for g in _filled(found, like)])
