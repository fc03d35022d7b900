"""How much training a network gets, at least and at most."""

from __future__ import annotations

from dataclasses import dataclass

from optuna_nas.exceptions import DescriptionError

__all__ = ["Budget"]


@dataclass(frozen=True)
class Budget:
    """Training given to a network.

    Args:
        epochs: `(first, last)`: epochs before the pruner may first judge a network, and epochs of
            a full training. One number trains every network that long.

    Raises:
        DescriptionError: Not `1 <= first <= last`.
    """

    epochs: int | tuple[int, int] = (1, 9)

    def __post_init__(self) -> None:
        if not 1 <= self.min_epochs <= self.max_epochs:
            raise DescriptionError(
                f"expected Budget(epochs=(first, last)) with 1 <= first <= last, got {self.epochs}"
            )

    @property
    def min_epochs(self) -> int:
        """Epochs before the first rung."""
        return self.epochs if isinstance(self.epochs, int) else self.epochs[0]

    @property
    def max_epochs(self) -> int:
        """Epochs of a full training."""
        return self.epochs if isinstance(self.epochs, int) else self.epochs[1]
