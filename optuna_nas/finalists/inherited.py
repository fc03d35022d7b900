"""Finalists of a one-shot study: the networks of its front, trained, and both orders compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from io import StringIO
from typing import NamedTuple

import optuna
from optuna.trial import FrozenTrial, TrialState
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from optuna_nas.exceptions import DescriptionError, StudyError
from optuna_nas.finalists.select import select
from optuna_nas.finalists.shared import expect_supernet, rank_correlations, weights_file
from optuna_nas.reporting import front
from optuna_nas.reporting.inheritance import Correlation, doubt, keep
from optuna_nas.reporting.text import one_line, quantity
from optuna_nas.study import Budget, Search
from optuna_nas.study.from_scratch import FromScratch
from optuna_nas.study.loop import Callbacks
from optuna_nas.study.record import Record, records
from optuna_nas.study.training import OnEpoch
from optuna_nas.supernet import FineTuned

__all__ = ["Comparison", "FollowUp", "compare", "follow_up"]

WIDTH = 120


class Comparison(NamedTuple):
    """Networks by inherited weights, and trained.

    Args:
        networks: The networks of the one-shot study that some other study has trained.
        values: Name of a study -> digest of a network -> objective -> its value there; the
            one-shot study comes first.
        correlations: Between the values of the one-shot study and those of each other one, over
            five networks or more.
    """

    networks: list[Record]
    values: dict[str, dict[str, dict[str, float]]]
    correlations: list[Correlation]

    @property
    def doubt(self) -> str:
        """What to beware of, in a sentence; empty where both orders agree."""
        return doubt(self.correlations)

    def __str__(self) -> str:
        console = Console(width=WIDTH, file=StringIO())
        with console.capture() as captured:
            console.print(self)
        return captured.get()

    def __rich__(self) -> Table:
        """A row a network, and the rank correlations below."""
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
        table.add_column("trial", justify="right")
        networks = [values for found in self.values.values() for values in found.values()]
        objectives = dict.fromkeys(objective for values in networks for objective in values)
        for objective in objectives:
            for name in self.values:
                table.add_column(Text(f"{objective}\n{name}"), justify="right", overflow="fold")
        table.add_column("network")
        for record in self.networks:
            found = [
                values.get(record.digest, {}).get(objective)
                for objective in objectives
                for values in self.values.values()
            ]
            cells = ["" if value is None else quantity(value) for value in found]
            table.add_row(str(record.number), *cells, Text(one_line([record.line])))
        table.caption = "\n".join([*map(_told, self.correlations), self.doubt]).strip()
        return table


@dataclass(frozen=True)
class FollowUp:
    """A search that trains given networks and no others.

    Args:
        search: The search.
        study: Its study, in which the networks wait.
    """

    search: Search
    study: optuna.Study

    def run(self, callbacks: Callbacks = (), on_epoch: OnEpoch | None = None) -> optuna.Study:
        """Train what is waiting, as `Search.run` does."""
        storage = self.study._storage
        return self.search.run(storage=storage, callbacks=callbacks, on_epoch=on_epoch)


def follow_up(
    search: Search,
    study: optuna.Study,
    fidelity: Budget,
    fine_tune: bool = False,
    count: int | None = None,
) -> FollowUp:
    """The search that trains the front of a one-shot study, in a study of its own beside it.

    Called again, it trains what is not trained yet.

    Args:
        search: The search with inherited weights.
        study: Its study.
        fidelity: How long each network is trained.
        fine_tune: From the weights that it inherited, instead of from scratch.
        count: How many networks, spread along the front; all of it by default.

    Raises:
        StudyError: The study has no supernet, no front, or, to fine-tune, its weights are gone.
        DescriptionError: `count` is below 1.
    """
    expect_supernet(study)
    chosen = front(study) if count is None else select(study, count)
    if not chosen:
        raise StudyError(f"expected study {study.study_name!r} to have a front; run it first")
    following = replace(
        search,
        name=f"{search.name}-{'fine-tuned' if fine_tune else 'from-scratch'}",
        estimator=FineTuned(weights_file(search, study)) if fine_tune else FromScratch(),
        fidelity=fidelity,
        pruner="none",
        sampler="random",
        samples=0,
        smoke=None,
    )
    trials = study.get_trials(deepcopy=False)
    own = following.study(study._storage)
    waiting = _enqueue(own, [trials[record.number].params for record in chosen])
    return FollowUp(replace(following, trials=waiting), own)


def compare(study: optuna.Study, *trained: optuna.Study) -> Comparison:
    """How networks compare by inherited weights and trained, by what only weights show.

    The rank correlations are kept with the one-shot study, whose report shows them.

    Args:
        study: The one-shot study.
        *trained: Studies that trained networks of it, such as those of `follow_up`.

    Raises:
        DescriptionError: No study to compare with.
    """
    if not trained:
        raise DescriptionError("expected studies to compare with, got none; see follow_up")
    inherited = {r.digest: r for r in records(study) if r.inherited and r.values}
    values = {study.study_name: {d: _values(r, inherited[d]) for d, r in inherited.items()}}
    for other in trained:
        done = [r for r in records(other) if r.values and r.digest in inherited]
        values[other.study_name] = {r.digest: _values(r, inherited[r.digest]) for r in done}
    seen = {digest for name in values if name != study.study_name for digest in values[name]}
    networks = sorted((inherited[digest] for digest in seen), key=lambda record: record.number)
    values[study.study_name] = {digest: values[study.study_name][digest] for digest in seen}
    first, *others = values.items()
    found = [c for name, after in others for c in rank_correlations(first[1], name, after)]
    keep(study, found)
    return Comparison(networks, values, found)


def _enqueue(study: optuna.Study, wanted: Sequence[Mapping[str, object]]) -> int:
    """Put networks into the queue of a study that are not in it, and count what is to be done."""
    trials = study.get_trials(deepcopy=False)
    known = [t.system_attrs.get("fixed_params", t.params) for t in trials]
    ended = [t.params for t in trials if _ended(t)]
    for params in wanted:
        if params not in known:
            study.enqueue_trial(dict(params))
    return sum(params not in ended for params in wanted)


def _ended(trial: FrozenTrial) -> bool:
    """Whether a trial will not be taken up again."""
    done = trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
    return done or trial.user_attrs.get("outcome") == "failed"


def _values(record: Record, inherited: Record) -> dict[str, float]:
    """What of a network hangs on its weights."""
    return {
        name: record.measurements[name]["value"]
        for name, measured in inherited.measurements.items()
        if "weights" in measured and name in record.measurements
    }


def _told(known: Correlation) -> str:
    return (
        f"{known.objective}, inherited and in {known.against}: Spearman {known.spearman:.2f}, "
        f"Kendall {known.kendall:.2f} over {known.networks} networks"
    )
