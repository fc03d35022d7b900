"""A recurrent network that draws the parameters of other networks, one after another."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from torch import nn

from optuna_nas.exceptions import SpaceError
from optuna_nas.samplers.uniform import generator, uniform
from optuna_nas.samplers.virtual import Draw

__all__ = ["Choices", "Controller"]

SIZE = 32
"""Size of the controller's state."""
PARTS = 16
"""Most parts that the range of an ordered parameter is divided into."""
WAYS = "written", "read"
"""A parameter has a tensor (choices, SIZE) for each: what turns the state into logits, and what
is read of a choice."""
START = 0.1
"""Weights are drawn between plus and minus this."""

State = tuple[torch.Tensor, torch.Tensor]
Supported = CategoricalDistribution | IntDistribution | FloatDistribution


class Controller:
    """An LSTM over the choices of a define-by-run space.

    Each parameter that the space asks for is one step: the state gives logits over its choices,
    and what was chosen is read before the next step. A parameter met for the first time gets
    weights of its own, which follow from the seed and its name.

    Args:
        objectives: How many weights of objectives it is told before the first step.
        rate: Learning rate of Adam.
        seed: Seed of its weights.

    Source: Zoph and Le 2017, arXiv:1611.01578.
    """

    def __init__(self, objectives: int, rate: float, seed: int) -> None:
        self._seed = seed
        self._choices: dict[str, Choices] = {}
        self._weights: dict[str, nn.Parameter] = {}
        drawn = [
            self._draw("cell read", 4 * SIZE, SIZE),
            self._draw("cell state", 4 * SIZE, SIZE),
            self._draw("bias", 4 * SIZE),
            self._draw("told", objectives, SIZE),
        ]
        self._adam = torch.optim.Adam(drawn, lr=rate)

    def walk(
        self, weights: NDArray[np.float64], rng: np.random.Generator, temperature: float = 1.0
    ) -> Draw:
        """Draw the parameters of one network, in the order in which they are asked for.

        Args:
            weights: Weights of the objectives, positive, with a sum of 1 (M,).
            rng: Where chance comes from.
            temperature: Above 1 it is more even.
        """
        with torch.no_grad():
            state = self._begin(weights[None])

        @torch.no_grad()
        def value(name: str, distribution: BaseDistribution) -> Any:
            nonlocal state
            key = self._meet(name, distribution)
            logits = self._weights[f"{key} written"] @ state[0][0] / temperature
            shares = np.cumsum(logits.softmax(0).tolist())
            place = int((shares[:-1] < rng.random()).sum())
            state = self._after(self._weights[f"{key} read"][place], state)
            return self._choices[key].draw(place, rng)

        return value

    def learn(
        self,
        steps: Sequence[tuple[str, BaseDistribution, Any]],
        weights: NDArray[np.float64],
        advantages: NDArray[np.float64],
    ) -> None:
        """Make the choices of a network more likely, or less (REINFORCE).

        Args:
            steps: Name, distribution and value of its parameters, in the order of the walk.
            weights: Weights of the objectives, of several preferences (W, M).
            advantages: By how much it was better than was to be expected, by each (W,).
        """
        with torch.enable_grad():
            state = self._begin(weights)
            likelihood = state[0].new_zeros(len(weights))
            for name, distribution, value in steps:
                key = self._meet(name, distribution)
                place = self._choices[key].place(value)
                logits = state[0] @ self._weights[f"{key} written"].T
                likelihood = likelihood + logits.log_softmax(1)[:, place]
                state = self._after(self._weights[f"{key} read"][place], state)
            loss = -(likelihood.new_tensor(advantages) * likelihood).mean()
            self._adam.zero_grad()
            torch.autograd.backward(loss)
        self._adam.step()

    def _begin(self, weights: NDArray[np.float64]) -> State:
        """The states before the first choice, each (W, SIZE), for several preferences (W, M)."""
        told = self._weights["told"]
        read = told.new_tensor(weights) @ told
        return self._after(read, (read * 0, read * 0))

    def _after(self, read: torch.Tensor, state: State) -> State:
        """The states of the LSTM after something was read, (SIZE,) or (W, SIZE)."""
        cell = [self._weights[name] for name in ("cell read", "cell state", "bias")]
        return torch.lstm_cell(read.expand_as(state[0]), state, *cell)

    def _meet(self, name: str, distribution: BaseDistribution) -> str:
        """Key of a parameter, which has weights from now on."""
        key = f"{name} {distribution}"
        if key not in self._choices:
            choices = Choices(distribution)
            drawn = [self._draw(f"{key} {way}", len(choices), SIZE) for way in WAYS]
            self._adam.add_param_group({"params": drawn})
            self._choices[key] = choices  # last, since other threads draw by what is there
        return key

    def _draw(self, name: str, *shape: int) -> nn.Parameter:
        drawn = generator(self._seed, name).uniform(-START, START, shape)
        self._weights[name] = nn.Parameter(torch.from_numpy(drawn.astype(np.float32)))
        return self._weights[name]


class Choices:
    """What the controller chooses among for one parameter: categories, or parts of a range.

    Args:
        distribution: Its distribution.

    Raises:
        SpaceError: The distribution is none of Optuna's three.
    """

    def __init__(self, distribution: BaseDistribution) -> None:
        self._distribution = _supported(distribution)
        self._edges: list[float] = _edges(self._distribution).tolist()

    def __len__(self) -> int:
        return len(self._edges) - 1

    def draw(self, place: int, rng: np.random.Generator) -> Any:
        """A value of the part at a place."""
        kind, (start, end) = self._distribution, self._edges[place : place + 2]
        index = int(start + rng.random() * (end - start))
        if isinstance(kind, CategoricalDistribution):
            return kind.choices[index]
        if kind.step is None:
            drawn = uniform(FloatDistribution(start, end, log=kind.log), rng)
            return min(max(drawn, kind.low), kind.high)
        return min(kind.low + index * kind.step, kind.high)

    def place(self, value: Any) -> int:
        """The part that a value belongs to."""
        kind, found = self._distribution, value
        if isinstance(kind, CategoricalDistribution):
            found = kind.to_internal_repr(value)
        elif kind.step is not None:
            found = round((value - kind.low) / kind.step)
        return min(max(bisect_right(self._edges, found) - 1, 0), len(self) - 1)


def _supported(kind: BaseDistribution) -> Supported:
    if not isinstance(kind, Supported):
        raise SpaceError(
            "expected a categorical, int or float distribution, "
            f"got {type(kind).__name__}; use trial.suggest_*"
        )
    return kind


def _edges(kind: Supported) -> NDArray[np.float64]:
    """Where each part begins and the last one ends; of steps and categories, their places."""
    if isinstance(kind, CategoricalDistribution):
        return np.arange(len(kind.choices) + 1.0)
    spread = np.geomspace if kind.log else np.linspace
    if kind.step is None:
        return spread(kind.low, kind.high, PARTS + 1 if kind.high > kind.low else 2)
    end = kind.high + kind.step
    places = (spread(kind.low, end, PARTS + 1) - kind.low) / kind.step
    return np.unique(np.ceil(places - 1e-6))
