"""A recurrent network that draws the parameters of other networks, one after another."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from optuna_nas.exceptions import SpaceError
from optuna_nas.samplers.proposing import generator
from optuna_nas.samplers.uniform import uniform
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

DECAY = 0.9, 0.999
"""Of the moments of Adam."""

Tensors = Mapping[str, torch.Tensor]
State = tuple[torch.Tensor, torch.Tensor]


class Controller:
    """An LSTM over the choices of a define-by-run space.

    Each parameter that the space asks for is one step: the state gives logits over its choices,
    and what was chosen is read before the next step. A parameter met for the first time gets
    weights of its own, which follow from the seed and its name. No tensor is ever changed in
    place, so that a copy costs nothing, and a walk goes on as it began.

    Args:
        objectives: How many weights of objectives it is told before the first step.
        rate: Learning rate of Adam.
        seed: Seed of its weights.

    Source: Zoph and Le 2017, arXiv:1611.01578; Kingma and Ba 2015, arXiv:1412.6980.
    """

    def __init__(self, objectives: int, rate: float, seed: int) -> None:
        self._rate = rate
        self._seed = seed
        self._choices: dict[str, Choices] = {}
        self._moments: dict[str, _Moments] = {}
        self._weights: dict[str, torch.Tensor] = {}
        self._draw("cell", 4 * SIZE, 2 * SIZE)
        self._draw("bias", 4 * SIZE)
        self._draw("told", objectives, SIZE)

    def __copy__(self) -> Controller:
        other = Controller.__new__(Controller)
        other.__dict__.update(self.__dict__)
        for name in ("_choices", "_moments", "_weights"):
            setattr(other, name, dict(getattr(self, name)))
        return other

    def walk(
        self, weights: NDArray[np.float64], rng: np.random.Generator, temperature: float = 1.0
    ) -> Draw:
        """Draw the parameters of one network, in the order in which they are asked for.

        Args:
            weights: Weights of the objectives, positive, with a sum of 1 (M,).
            rng: Where chance comes from.
            temperature: Above 1 it is more even.
        """
        state = _begin(self._weights, weights[None])

        def value(name: str, distribution: BaseDistribution) -> Any:
            nonlocal state
            key = self._meet(name, distribution)
            logits = self._weights[f"{key} written"] @ state[0][0] / temperature
            shares = np.cumsum(logits.softmax(0).tolist())
            place = int((shares[:-1] < rng.random()).sum())
            state = _after(self._weights, self._weights[f"{key} read"][place], state)
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
        keys = [self._meet(name, distribution) for name, distribution, _ in steps]
        names = ["cell", "bias", "told", *(f"{k} {way}" for k in keys for way in WAYS)]
        live = {name: self._weights[name].detach().requires_grad_() for name in names}
        with torch.enable_grad():
            state = _begin(live, weights)
            likelihood = state[0].new_zeros(len(weights))
            for key, (_, _, value) in zip(keys, steps, strict=True):
                place = self._choices[key].place(value)
                logits = state[0] @ live[f"{key} written"].T
                likelihood = likelihood + logits.log_softmax(1)[:, place]
                state = _after(live, live[f"{key} read"][place], state)
            loss = -(likelihood.new_tensor(advantages) * likelihood).mean()
            gradients = torch.autograd.grad(loss, list(live.values()), allow_unused=True)
        for name, gradient in zip(live, gradients, strict=True):
            if gradient is not None:
                self._descend(name, gradient)

    def _descend(self, name: str, gradient: torch.Tensor) -> None:
        """One step of Adam."""
        before = self._moments.get(name) or _Moments(0, gradient * 0, gradient * 0)
        count = before.updates + 1
        mean = DECAY[0] * before.mean + (1 - DECAY[0]) * gradient
        square = DECAY[1] * before.square + (1 - DECAY[1]) * gradient**2
        self._moments[name] = _Moments(count, mean, square)
        unbiased = mean / (1 - DECAY[0] ** count), square / (1 - DECAY[1] ** count)
        self._weights[name] = self._weights[name] - self._rate * unbiased[0] / (
            unbiased[1].sqrt() + 1e-8
        )

    def _meet(self, name: str, distribution: BaseDistribution) -> str:
        """Key of a parameter, which has weights from now on."""
        key = f"{name} {distribution}"
        if key not in self._choices:
            self._choices[key] = Choices(distribution)
            for way in WAYS:
                self._draw(f"{key} {way}", len(self._choices[key]), SIZE)
        return key

    def _draw(self, name: str, *shape: int) -> None:
        drawn = generator(self._seed, name).uniform(-START, START, shape)
        self._weights[name] = torch.from_numpy(drawn.astype(np.float32))


class _Moments(NamedTuple):
    """Of the gradients of one tensor: how many, their moving mean, and that of their squares."""

    updates: int
    mean: torch.Tensor
    square: torch.Tensor


def _begin(tensors: Tensors, weights: NDArray[np.float64]) -> State:
    """The states before the first choice, each (W, SIZE), for several preferences (W, M)."""
    told = tensors["told"].new_tensor(weights) @ tensors["told"]
    return _after(tensors, told, (told * 0, told * 0))


def _after(tensors: Tensors, read: torch.Tensor, state: State) -> State:
    """The states of the LSTM after something was read, (SIZE,) or (W, SIZE)."""
    inputs = torch.cat((read.expand_as(state[0]), state[0]), dim=1)
    enter, keep, new, show = (inputs @ tensors["cell"].T + tensors["bias"]).chunk(4, dim=1)
    memory = keep.sigmoid() * state[1] + enter.sigmoid() * new.tanh()
    return show.sigmoid() * memory.tanh(), memory


class Choices:
    """What the controller chooses among for one parameter: categories, or parts of a range.

    Args:
        distribution: Its distribution.

    Raises:
        SpaceError: The distribution is none of Optuna's three.
    """

    def __init__(self, distribution: BaseDistribution) -> None:
        self._distribution = distribution
        self._edges: list[float] = _edges(distribution).tolist()

    def __len__(self) -> int:
        return len(self._edges) - 1

    def draw(self, place: int, rng: np.random.Generator) -> Any:
        """A value of the part at a place."""
        kind, (start, end) = self._distribution, self._edges[place : place + 2]
        if isinstance(kind, FloatDistribution) and kind.step is None:
            drawn = uniform(FloatDistribution(start, end, log=kind.log), rng)
            return min(max(drawn, kind.low), kind.high)
        index = int(start + rng.random() * (end - start))
        if isinstance(kind, CategoricalDistribution):
            return kind.choices[index]
        return min(kind.low + index * kind.step, kind.high)  # type: ignore[attr-defined]

    def place(self, value: Any) -> int:
        """The part that a value belongs to."""
        kind, found = self._distribution, value
        if isinstance(kind, CategoricalDistribution):
            found = kind.to_internal_repr(value)
        elif kind.step is not None:  # type: ignore[attr-defined]
            found = round((value - kind.low) / kind.step)  # type: ignore[attr-defined]
        return min(max(bisect_right(self._edges, found) - 1, 0), len(self) - 1)


def _edges(kind: BaseDistribution) -> NDArray[np.float64]:
    """Where each part begins and the last one ends; of steps and categories, their places."""
    if isinstance(kind, CategoricalDistribution):
        return np.arange(len(kind.choices) + 1.0)
    if not isinstance(kind, IntDistribution | FloatDistribution):
        raise SpaceError(
            "expected a categorical, int or float distribution, "
            f"got {type(kind).__name__}; use trial.suggest_*"
        )
    spread = np.geomspace if kind.log else np.linspace
    if kind.step is None:
        return spread(kind.low, kind.high, PARTS + 1 if kind.high > kind.low else 2)
    end = kind.high + kind.step
    places = (spread(kind.low, end, PARTS + 1) - kind.low) / kind.step
    return np.unique(np.ceil(places - 1e-6))
