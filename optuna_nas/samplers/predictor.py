"""Surrogate-assisted search: whole architectures, chosen by what they would add to the front."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from optuna_nas.exceptions import DescriptionError
from optuna_nas.samplers.proposer import Known, Proposer
from optuna_nas.samplers.proposing import ProposingSampler
from optuna_nas.samplers.virtual import Proposal

__all__ = ["Predictor"]


class Predictor(ProposingSampler[Proposer]):
    """Proposes the network, new or paused, that is expected to add most to the front.

    Forests learn from every trial, finished or pruned, what a network's genes say of its losses
    at the first rung, and from rung to rung what those say of its end. New networks come from the
    space: mutations of the best so far, and random ones. Of those the one is proposed that adds
    most hypervolume in one sample of what might be true (Thompson sampling), beside all networks
    at what they are expected to end with, running ones too.

    With `pruners.FreezeThaw` every network is paused at each rung, and in turn with new networks
    those paused ones are taken up again that are expected to add most to what is trained to the
    end. With other pruners, it only proposes new ones.

    Every choice is a function of the seed, the trial's number and the trials in storage.

    Args:
        space: What the objective function draws networks by. Without one, proposals recombine the
            parameters of trials so far.
        known: Objective name -> a function that tells its exact value for what the space returns,
            without training. Where that takes too long, what learns it from trials, such as
            `predictors.LearnedLatency`, with `fit(drawn, values)` and `predict(drawn)`, or None
            for a line through the genes. The value must not depend on training; NaN where it
            cannot be told.
        startup: Networks drawn at random at the start, at most: fewer, down to five for each
            objective that is not known, where they would cost more than 2.5 full trainings.
        seed: Seed of every choice; None draws one when the sampler is made.

    Raises:
        DescriptionError: An argument is out of its range.

    Source: hypervolume improvement as in Daulton et al. 2020, arXiv:2006.05078; trees as
    surrogates as in Hutter et al. 2011 (SMAC), doi:10.1007/978-3-642-25566-3_40.
    """

    def __init__(
        self,
        space: Callable[[Any], Any] | None = None,
        known: Known | None = None,
        startup: int = 10,
        seed: int | None = None,
    ) -> None:
        if startup < 2:
            raise DescriptionError(f"expected startup of at least 2, got {startup}")
        if space is None and any(known.values() if known else ()):
            raise DescriptionError(
                "expected a space beside functions for known objectives, got none: "
                "they are called with what the space returns"
            )
        super().__init__(space, seed)
        self.known = dict(known or {})
        self._startup = startup

    def propose(self, tried: Proposer, study: optuna.Study, trial: FrozenTrial) -> Proposal:
        """The network that the trial trains; noted, if that goes on with a paused one."""
        chosen = tried.next(study, trial)
        if isinstance(chosen, Proposal):
            return chosen
        study._storage.set_trial_user_attr(trial._trial_id, "continues", chosen.number)
        trial.user_attrs["continues"] = chosen.number
        return tried.again(chosen)

    def begin(self, study: optuna.Study) -> Proposer:
        """What proposes for a study."""
        return Proposer(self.space, self.known, self._startup, self._seed)
