"""The rows of a table as a tree: one parameter a level, of each only what some row has.

A path from the root to a leaf sets every parameter and so names a row, wherever it turns: that is
how a space draws nothing that is not in its table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray

__all__ = ["Branch", "Parameter", "encoded", "nearest", "suggested"]


@dataclass(frozen=True, eq=False)
class Parameter:
    """A parameter of every row.

    Args:
        name: Its name.
        options: The values that it takes.
        codes: Index of each row's value (N,); -1 where a row has no such parameter.
        ordered: Whether neighbouring options are alike.
    """

    name: str
    options: Sequence[Any]
    codes: NDArray[np.int64]
    ordered: bool = False

    def suggest(self, trial: optuna.Trial, codes: Sequence[int]) -> int:
        """Let a trial choose one of these options; its name says so where they are not all."""
        shown = [self.options[code] for code in codes]
        some = len(codes) < len(self.options)
        name = f"{self.name}{{{','.join(map(str, shown))}}}" if some else self.name
        if self.ordered:
            return codes[trial.suggest_int(name, 0, len(codes) - 1)]
        return self.options.index(trial.suggest_categorical(name, shown))


def encoded(name: str, values: NDArray[Any]) -> Parameter:
    """A parameter of these values (N,): numbers have an order; NaN and empty text are absent."""
    ordered = values.dtype.kind in "biuf"
    absent = np.isnan(values.astype(float)) if ordered else values == ""
    options, codes = np.unique(values, return_inverse=True)
    kept = [option for option in options.tolist() if option == option and option != ""]
    places = np.cumsum([option in kept for option in options.tolist()]) - 1
    return Parameter(name, kept, np.where(absent, -1, places[codes]), ordered)


class Branch:
    """The rows that share a choice of the first parameters.

    Args:
        parameters: All parameters.
        rows: The rows.
        level: How many parameters are chosen.
    """

    def __init__(
        self, parameters: Sequence[Parameter], rows: NDArray[np.int64], level: int = 0
    ) -> None:
        self._parameters = parameters
        self._rows = rows
        self._level = level

    @cached_property
    def branches(self) -> Mapping[int, Branch]:
        """Option of the next parameter -> the rows that have it."""
        codes = self._parameters[self._level].codes[self._rows]
        return {
            code: Branch(self._parameters, self._rows[codes == code], self._level + 1)
            for code in np.unique(codes).tolist()
        }

    def row(self, choose: Callable[[Parameter, Sequence[int]], int]) -> int:
        """The row that is reached where a function makes each choice that is left."""
        branch = self
        while branch._level < len(branch._parameters):
            codes = list(branch.branches)
            parameter = branch._parameters[branch._level]
            branch = branch.branches[codes[0] if len(codes) == 1 else choose(parameter, codes)]
        return int(branch._rows[0])


def suggested(trial: optuna.Trial) -> Callable[[Parameter, Sequence[int]], int]:
    """Choices by a trial."""
    return lambda parameter, codes: parameter.suggest(trial, codes)


def nearest(wanted: Mapping[str, int]) -> Callable[[Parameter, Sequence[int]], int]:
    """Choices nearest to wanted ones, by the order of the options; absent parameters are free."""

    def choose(parameter: Parameter, codes: Sequence[int]) -> int:
        code = wanted.get(parameter.name, 0)
        if parameter.ordered or code in codes:
            return min(codes, key=lambda other: abs(other - code))
        return codes[code % len(codes)]

    return choose
