"""What is known of a search by gradients after each epoch, and what it found."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from optuna_nas.architecture import Architecture
from optuna_nas.supernet.differentiable.bilevel import Bilevel
from optuna_nas.supernet.differentiable.halves import ARCHITECTURE, WEIGHTS
from optuna_nas.supernet.differentiable.relaxation import Kept, Relaxation

__all__ = ["COLLAPSED", "Epoch", "Found", "Progress"]

COLLAPSED = 0.5
"""Share of operators without weights above which a search is said to have collapsed."""

_logger = logging.getLogger(__name__)


@dataclass
class Epoch:
    """A search after an epoch.

    Args:
        number: Of the epoch, from 1.
        loss: Mean loss that weights learned from.
        architecture_loss: Mean loss that the architecture learned from; 0 before it does.
        weights: Choice -> option -> its weight.
        params: Parameters of the network that would be derived.
        skips: Share of its operators that are skips.
        parameter_free: Share of its operators without weights: skips, pooling, none.
        most_skips: Skips in the cell that has the most.
        entropy: Mean entropy of the weights of a choice, in nats.
        eigenvalue: Dominant eigenvalue of the Hessian of the loss by architecture parameters,
            where it was looked at.
    """

    number: int
    loss: float
    architecture_loss: float
    weights: dict[str, dict[str, float]]
    params: dict[str, Any]
    skips: float
    parameter_free: float
    most_skips: int
    entropy: float
    eigenvalue: float | None = None


@dataclass(frozen=True)
class Found:
    """What a search by gradients found.

    Args:
        params: Parameters of the network: `study.enqueue_trial(found.params)` has it trained from
            scratch like any other.
        architecture: The network.
        epochs: The search after each epoch.
        derived: Number of the epoch that the network is from.
        stopped: Why it ended early; empty where it did not.
    """

    params: Mapping[str, Any]
    architecture: Architecture
    epochs: tuple[Epoch, ...]
    derived: int
    stopped: str = ""

    @property
    def skips(self) -> float:
        """Share of the network's operators that are skips."""
        return self.epochs[self.derived - 1].skips

    @property
    def parameter_free(self) -> float:
        """Share of the network's operators without weights: skips, pooling, none."""
        return self.epochs[self.derived - 1].parameter_free

    @property
    def collapsed(self) -> bool:
        """Whether most operators have no weights, as where skips win the race by being easy.

        Source: Zela et al. 2020, arXiv:1909.09656.
        """
        return self.parameter_free > COLLAPSED

    def to_json(self) -> str:
        """All of it as JSON."""
        return json.dumps(
            {
                "params": dict(self.params),
                "architecture": json.loads(self.architecture.to_json()),
                "derived": self.derived,
                "stopped": self.stopped,
                "collapsed": self.collapsed,
                "epochs": [asdict(epoch) for epoch in self.epochs],
            }
        )


class Progress(Callback):
    """Keeps what is known of a search after each epoch.

    Args:
        bilevel: What trains.

    Attributes:
        bilevel: What trains.
        epochs: The search after each epoch.
        derived: Number of the epoch to take the network from; 0 for the last.
        stopped: Why the search ended early; empty where it did not.
    """

    def __init__(self, bilevel: Bilevel) -> None:
        self.bilevel = bilevel
        self.epochs: list[Epoch] = []
        self.derived = 0
        self.stopped = ""

    @classmethod
    def of(cls, trainer: Trainer) -> Progress:
        """That of a Trainer's search."""
        # A connector of Lightning sets it, which type checkers do not see.
        callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
        return next(callback for callback in callbacks if isinstance(callback, cls))

    def stop(self, trainer: Trainer, why: str, derived: int) -> None:
        """End the search with the network of an epoch, counted from 1."""
        self.stopped, self.derived = why, derived
        trainer.should_stop = True
        _logger.info(f"search by gradients stopped after epoch {len(self.epochs)}: {why}")

    def derive(self, kept: Kept) -> None:
        """Derive another network from the last epoch than that of the strongest operators."""
        derived = _derived(self.bilevel.network.relaxation, kept)
        self.epochs[-1] = replace(self.epochs[-1], **derived)

    def state_dict(self) -> dict[str, Any]:
        """All that is kept."""
        epochs = [asdict(epoch) for epoch in self.epochs]
        return {"epochs": epochs, "derived": self.derived, "stopped": self.stopped}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take what `state_dict` returned."""
        self.epochs = [Epoch(**epoch) for epoch in state_dict["epochs"]]
        self.derived, self.stopped = state_dict["derived"], state_dict["stopped"]

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Do not go on with what had stopped."""
        trainer.should_stop = trainer.should_stop or bool(self.stopped)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take note of the epoch."""
        self.epochs.append(_epoch(trainer.current_epoch + 1, self.bilevel))

    def found(self) -> Found:
        """What was found so far; warns where the search has collapsed."""
        derived = self.derived or len(self.epochs)
        params = self.epochs[derived - 1].params
        architecture = self.bilevel.network.relaxation.network(params)
        found = Found(params, architecture, tuple(self.epochs), derived, self.stopped)
        if found.collapsed:
            _logger.warning(
                f"the search collapsed: {found.parameter_free:.0%} of the operators have no "
                f"weights, {found.skips:.0%} are skips; stop early (early_stop='hessian' or "
                "'skips'), drop skips (dropout=...) or regularise weights more (l2=...)"
            )
        return found


@torch.no_grad()
def _epoch(number: int, bilevel: Bilevel) -> Epoch:
    relaxation, alphas, losses = bilevel.network.relaxation, bilevel.alphas, bilevel.losses
    kept = relaxation.kept(alphas.strengths())
    weights = [alpha.softmax(0) for alpha in alphas.operators]
    return Epoch(
        number=number,
        loss=losses[WEIGHTS] / losses["steps"],
        architecture_loss=losses[ARCHITECTURE] / losses["steps"],
        weights={
            choice.name: dict(zip(choice.labels, w.tolist(), strict=True))
            for choice, w in zip(relaxation.choices, weights, strict=True)
        },
        entropy=float(torch.stack([torch.special.entr(w).sum() for w in weights]).mean()),
        **_derived(relaxation, kept),
    )


def _derived(relaxation: Relaxation, kept: Kept) -> dict[str, Any]:
    """What an `Epoch` says of the network that is derived."""
    skips = _skips(relaxation, kept)
    return {
        "params": relaxation.params(kept),
        "skips": sum(skips.values()) / len(kept),
        "parameter_free": sum(relaxation.free[n][o] for n, o in kept.items()) / len(kept),
        "most_skips": max(skips.values()),
    }


def _skips(relaxation: Relaxation, kept: Kept) -> dict[str, int]:
    """Skips of each cell."""
    counts = dict.fromkeys((choice.cell for choice in relaxation.choices), 0)
    for number, option in kept.items():
        choice = relaxation.choices[number]
        counts[choice.cell] += choice.skips(option)
    return counts
