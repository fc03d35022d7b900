"""Losses that blocks add to that of the task, such as load balancing.

    with auxiliary_losses() as extra:
        logits = network(x)
    loss = cross_entropy(logits, y) + sum(extra)

Nothing is kept in a module: several forward passes inside one `with` add up, those outside of any
leave no trace, and what is pickled or exported knows nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from torch import Tensor

__all__ = ["add_auxiliary_loss", "auxiliary_losses"]

_collected: ContextVar[list[Tensor] | None] = ContextVar("auxiliary losses", default=None)


@contextmanager
def auxiliary_losses() -> Iterator[list[Tensor]]:
    """Collect the auxiliary losses, scalars, of all forward passes inside, in training mode."""
    losses: list[Tensor] = []
    token = _collected.set(losses)
    try:
        yield losses
    finally:
        _collected.reset(token)


def add_auxiliary_loss(loss: Tensor) -> None:
    """Hand a loss, a scalar, to whoever collects; without anybody it is dropped."""
    losses = _collected.get()
    if losses is not None:
        losses.append(loss)
