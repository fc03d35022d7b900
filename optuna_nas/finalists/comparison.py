"""What finalists have to beat, under the same recipe: the space's average, size alone, known nets.

Source: Yu et al. 2020, arXiv:1902.08142, and Yang et al. 2020, arXiv:1912.12522, on how often a
search does not beat networks drawn at random from its space.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import optuna
from optuna.trial import FixedTrial
from torch import nn

from optuna_nas.exceptions import DescriptionError, SpaceError
from optuna_nas.finalists.finalist import Finalist, of_trial
from optuna_nas.finalists.references import control, references
from optuna_nas.finalists.select import select
from optuna_nas.objectives import Candidate
from optuna_nas.objectives.objective import keeps
from optuna_nas.reporting import totals
from optuna_nas.samplers.virtual import draw, heir
from optuna_nas.spaces import Joint
from optuna_nas.spaces.given import Given
from optuna_nas.spaces.joint import network_parameters
from optuna_nas.study import Search
from optuna_nas.study.exhaustion import EXHAUSTED
from optuna_nas.study.failures import StopOnFailures
from optuna_nas.study.feasibility import caps
from optuna_nas.study.from_scratch import FromScratch
from optuna_nas.study.record import SUPERNET, Record
from optuna_nas.study.training import OnEpoch
from optuna_nas.supernet.store import fingerprint_of

__all__ = ["average", "baselines", "own_network", "random_search"]

DRAWS = 200
"""Networks that are drawn to find some within the caps."""
_REFERENCES = "expected references = {name: network, or function that makes one}"


def baselines(
    search: Search,
    found: Sequence[Record],
    count: int,
    own: Mapping[str, nn.Module | Callable[[], nn.Module]],
) -> list[Finalist]:
    """Networks to compare the finalists of a search with.

    Args:
        search: The search.
        found: The finalists' trials; the control is as large as the first of them.
        count: How many stand for the average of the space.
        own: References of the user's, name -> network, such as a pretrained one, which is trained
            on from its weights; or what makes one. One with the name of a network made by hand
            here takes its place.

    Raises:
        DescriptionError: They are no such mapping, or have the name of another network.
    """
    if not isinstance(own, Mapping):
        raise DescriptionError(f"{_REFERENCES}, got {own!r}")
    others = [own_network(name, given) for name, given in own.items()]
    before = average(search, count)
    if search.outputs is not None and not _reads_tokens(search, before):
        known = references(search.input_shape, search.outputs)
        others += [Finalist(n, "reference", made) for n, made in known.items() if n not in own]
        before += _controls(search, found)
    taken = {one.name for one in before} | {f"trial {record.number}" for record in found}
    if twice := sorted(taken & own.keys()):
        raise DescriptionError(f"{_REFERENCES} of names of their own, got {', '.join(twice)}")
    return [*before, *others]


def _reads_tokens(search: Search, drawn: Sequence[Finalist]) -> bool:
    """Whether inputs are no numbers that a network made by hand could take, but ids of tokens."""
    networks = (one.space(FixedTrial({})) for one in drawn[:1])
    made = (Candidate(network, search.input_shape, search.outputs) for network in networks)
    return any(getattr(one.skeleton, "input_dtype", None) is not None for one in made)


def average(search: Search, count: int) -> list[Finalist]:
    """Networks drawn at random from the space, within the caps that need no measuring device.

    Args:
        search: The search.
        count: How many.

    Raises:
        SpaceError: Too few of those drawn keep the caps, or the space cannot be drawn from.
    """
    kept = list(_within(search, count))
    if len(kept) < count:
        raise SpaceError(
            f"expected {count} random networks within the caps, got {len(kept)} of {DRAWS}; ask "
            "for fewer, or loosen the caps"
        )
    return kept


def random_search(
    search: Search,
    study: optuna.Study,
    rule: str = "best",
    on_epoch: OnEpoch | None = None,
) -> list[Finalist]:
    """What random search finds for as many epochs as the search has spent, supernet included.

    Networks are drawn at random, within the same caps, and trained to the end of the search's
    budget, in the study `<name>@random`; interrupted, it goes on there.

    Args:
        search: The search.
        study: Its study.
        rule: By which one of its front is taken, as in `select`.
        on_epoch: As in `Search.run`.

    Raises:
        SearchStopped: Too many trials in a row failed for the same reason.

    Source: Li and Talwalkar 2019, arXiv:1902.07638.
    """
    own = replace(
        search,
        name=f"{search.name}@random",
        sampler="random",
        pruner="none",
        estimator=FromScratch(),
        fidelity=search.budget,
    )
    other = own.study(study._storage)
    supernet = study.user_attrs.get(SUPERNET, {}).get("epochs", 0)
    spent = totals(study).epochs + supernet
    stop = StopOnFailures(search.max_failures)
    while totals(other).epochs < spent and not other.user_attrs.get(EXHAUSTED):
        own.run(trials=1, storage=study._storage, callbacks=[stop], on_epoch=on_epoch)
        stop.raise_if_stopped()
    found = select(other, 1, rule)
    return [
        replace(of_trial(other, record, search.space), name="random search", role="random search")
        for record in found
    ]


def _within(search: Search, count: int) -> Iterator[Finalist]:
    rng = np.random.default_rng(search.seed)
    space = search.space.space if isinstance(search.space, Joint) else search.space
    counted = [cap for cap in caps(search) if not cap.on_device]
    known, refused = 0, None
    for _ in range(DRAWS):
        if known == count:
            return
        try:
            found = draw(space, heir((), 1.0, rng))
        except SpaceError as error:  # a space may refuse some of its networks
            refused = error
            continue
        given = Given(space, network_parameters(found.params))
        candidate = Candidate(found.drawn, search.input_shape, search.outputs, data=search.data)
        if keeps(counted, candidate):
            known += 1
            yield Finalist(f"random {known}", "average", given)
    if known == 0 and refused is not None:
        raise refused


def _controls(search: Search, found: Sequence[Record]) -> list[Finalist]:
    size = found[0].parameters if found else None
    if size is None or search.outputs is None:
        return []
    made = control(search.input_shape, search.outputs, size)
    if made is None:
        return []
    name, network = made
    return [Finalist(f"{name} of equal size", "control", network)]


@dataclass(frozen=True)
class _Made:
    """A space with the one network that a user gives, or makes by a function.

    Args:
        make: What makes it.
        weights: Identity of the weights that it begins with, where these were given with it.
    """

    make: Callable[[], nn.Module]
    weights: str = ""

    def __call__(self, trial: object) -> nn.Module:
        return copy.deepcopy(self.make())  # the user's own stays as it is


def own_network(name: str, given: nn.Module | Callable[[], nn.Module]) -> Finalist:
    """A network of the user's own, to be trained as the finalists are.

    Args:
        name: What it is called.
        given: The network, trained on from its weights, or what makes one.

    Raises:
        DescriptionError: It is neither.
    """
    if isinstance(given, nn.Module):
        return Finalist(
            name, "reference", _Made(lambda: given, fingerprint_of(given.state_dict()))
        )
    if not callable(given):
        raise DescriptionError(
            f"expected {name!r} to be a network, or a function that makes one, got {given!r}; in "
            "STUDY.py: references = {name: network}, or student = network"
        )
    return Finalist(name, "reference", _Made(given))
