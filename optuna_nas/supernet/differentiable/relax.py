"""Finding the choices of a space by drawing from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import singledispatch
from typing import Any

from optuna.distributions import BaseDistribution, FloatDistribution

from optuna_nas.architecture import Architecture
from optuna_nas.exceptions import SpaceError
from optuna_nas.samplers.uniform import generator, uniform
from optuna_nas.samplers.virtual import Proposal, draw, fits
from optuna_nas.supernet.differentiable.graph import Operator, explain, substitute
from optuna_nas.supernet.differentiable.relaxation import Choice, Relaxation, Space
from optuna_nas.supernet.extent import options

__all__ = ["relax"]

MANY = 64
"""Options of a choice at most: each of them is an operator that runs in every step."""
DRAWN = 64
"""Random networks, of which the one with the most nodes is built on."""
CHECKED = 20
"""Random networks in which all choices are looked at together."""
SHOWN = 4
"""Names in an error message."""

Option = tuple[Mapping[str, Any], Mapping[str, Operator]]
"""Parameters of the space, and the operators that nodes have by them."""


@singledispatch
def relax(space: Space, input_shape: tuple[int, ...], outputs: int, seed: int = 0) -> Relaxation:
    """A space as choices between operators in one graph.

    The graph is the network with the most nodes. A parameter is a choice if each of its values
    changes nothing but what some nodes do, turns them into wires, or leaves them out; parameters
    that concern the same nodes are one choice. Spaces whose wiring is searched too have a
    function of their own, registered by `relax.register`.

    Args:
        space: Draws an `Architecture` from a trial.
        input_shape: Shape of one sample.
        outputs: Values per sample that a network returns.
        seed: Of the random networks.

    Raises:
        SpaceError: A parameter that changes more than operators, or cannot be enumerated; names
            it.
    """
    base = _richest(space, seed)
    sizes = tuple(input_shape), outputs
    alone = {name: _choice(space, base, {name}) for name in base.params}
    for choice in alone.values():
        if choice.operators:  # what does not fit is found, and named, before names are joined
            Relaxation(space, base.drawn, (choice,), *sizes)
    choices = [
        alone[min(names)] if len(names) == 1 else _choice(space, base, names)
        for names in _together({name: set(choice.operators) for name, choice in alone.items()})
    ]
    relaxation = Relaxation(space, base.drawn, tuple(choices), *sizes, base.params)
    _check_together(relaxation, seed)
    return relaxation


def _richest(space: Space, seed: int) -> Proposal:
    """The network with the most nodes: the best of random ones, improved one by one parameter."""
    rng = generator("relax", seed)
    best = max((_draw(space, lambda _, d: uniform(d, rng)) for _ in range(DRAWN)), key=_size)
    improved = True
    while improved:
        improved = False
        for name, distribution in list(best.distributions.items()):
            for value in _values(name, distribution):
                other = _with(space, best, {name: value})
                if _size(other) > _size(best):
                    best, improved = other, True
    return best


def _draw(space: Space, values: Any) -> Proposal:
    proposal = draw(space, values)
    if not isinstance(proposal.drawn, Architecture):
        raise SpaceError(
            "expected a space that draws an Architecture, whose nodes can be looked at one by "
            f"one, got {type(proposal.drawn).__name__}"
        )
    return proposal


def _with(space: Space, base: Proposal, forced: Mapping[str, Any]) -> Proposal:
    """The network of which some parameters are forced, and others as in the base or the first."""

    def value(name: str, distribution: BaseDistribution) -> Any:
        if name in forced:
            return forced[name]
        known = name in base.params and fits(base.params[name], distribution)
        return base.params[name] if known else _values(name, distribution)[0]

    return _draw(space, value)


def _size(proposal: Proposal) -> int:
    return len(proposal.drawn.alive)


def _values(name: str, distribution: BaseDistribution) -> tuple[Any, ...]:
    values = options(distribution)
    single = getattr(distribution, "single", lambda: False)()
    if isinstance(distribution, FloatDistribution) and not single:
        raise SpaceError(
            f"expected parameters with few values, to be searched by gradients, got {name!r} "
            f"from {distribution.low} to {distribution.high}; fix it in the space"
        )
    return values


def _options(space: Space, base: Proposal, names: set[str]) -> list[Option]:
    """Every joint value of some parameters, and of those that exist only beside these."""
    waiting: list[dict[str, Any]] = [{}]
    found: list[Option] = []
    while waiting:
        forced = waiting.pop()
        proposal = _with(space, base, forced)
        unforced = [
            name
            for name in proposal.distributions
            if name not in forced and (name in names or name not in base.params)
        ]
        if unforced:
            values = _values(unforced[0], proposal.distributions[unforced[0]])
            waiting += [{**forced, unforced[0]: value} for value in reversed(values)]
        else:
            found.append((forced, _operators(base, proposal, forced)))
        if len(found) + len(waiting) > MANY:
            raise SpaceError(
                f"expected at most {MANY} operators in a choice, got more for {_join(names)}, "
                "which concern the same nodes; allow fewer in the space"
            )
    return found


def _operators(
    base: Proposal, proposal: Proposal, forced: Mapping[str, Any]
) -> Mapping[str, Operator]:
    found = explain(base.drawn, proposal.drawn)
    if found is None:
        raise SpaceError(
            "expected parameters that choose what nodes do and leave the rest of the graph as it "
            f"is, to be searched by gradients, got {_join(forced)}: with {dict(forced)} the "
            "network has other nodes or other wires; fix it in the space"
        )
    return found


def _choice(space: Space, base: Proposal, names: set[str]) -> Choice:
    found = _options(space, base, names)
    own = {node.name: Operator.of(node) for node in base.drawn.alive}
    concerned = {node for _, operators in found for node in operators}
    return Choice(
        ", ".join(dict.fromkeys(name for params, _ in found for name in params)),
        tuple(params for params, _ in found),
        {
            node: tuple(operators.get(node, own[node]) for _, operators in found)
            for node in own
            if node in concerned
        },
    )


def _together(concerned: Mapping[str, set[str]]) -> list[set[str]]:
    """Parameters in groups that concern the same nodes; those that concern none are left out."""
    groups: list[tuple[set[str], set[str]]] = []
    for name, nodes in concerned.items():
        same = [group for group in groups if group[1] & nodes]
        joined = ({name}.union(*(g[0] for g in same)), nodes.union(*(g[1] for g in same)))
        place = groups.index(same[0]) if same else len(groups)
        groups = [group for group in groups if group not in same]
        groups.insert(place, joined)
    return [names for names, nodes in groups if nodes]


def _check_together(relaxation: Relaxation, seed: int) -> None:
    """See on random networks that what choices do does not depend on other choices."""
    rng = generator("together", seed)
    for _ in range(CHECKED):
        kept = {n: int(rng.integers(len(c.options))) for n, c in enumerate(relaxation.choices)}
        params = relaxation.params(kept)
        drawn = substitute(relaxation.network(params), {})
        if relaxation.discrete(kept).digest != drawn.digest:
            raise SpaceError(
                "expected parameters that each choose operators on their own, to be searched by "
                f"gradients, got {params}, whose network is another than these operators make; "
                "fix some of them in the space"
            )


def _join(names: Iterable[str]) -> str:
    listed = sorted(names)
    more = f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    return ", ".join(map(repr, listed[:SHOWN])) + more
