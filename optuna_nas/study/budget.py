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
        pair = (self.epochs, self.epochs) if isinstance(self.epochs, int) else self.epochs
        whole = isinstance(pair, tuple | list) and all(type(epoch) is int for epoch in pair)
        if not whole or len(pair) != 2 or not 1 <= pair[0] <= pair[1]:
            raise DescriptionError(
                "expected Budget(epochs=(first, last)) of whole numbers with 1 <= first <= last, "
                f"got {self.epochs!r}; one number trains every network that long"
            )

    @property
    def min_epochs(self) -> int:
        """Epochs before the first rung."""
        return self.epochs if isinstance(self.epochs, int) else self.epochs[0]

    @property
    def max_epochs(self) -> int:
        """Epochs of a full training."""
        return self.epochs if isinstance(self.epochs, int) else self.epochs[1]
