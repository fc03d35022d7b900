"""Trained finalist -> the same network with whole channels cut away, to be trained on.

Source: Fang et al. 2023 (Torch-Pruning), arXiv:2301.12900; Li et al. 2017, arXiv:1608.08710.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from optuna_nas.backends.require import require
from optuna_nas.exceptions import DescriptionError, MeasurementError
from optuna_nas.finalists.evaluation import candidate
from optuna_nas.finalists.finalist import Finalist
from optuna_nas.finalists.retrained import Retrained

__all__ = ["Pruned", "check_ratio", "prune"]


class Pruned:
    """A space with one network: a trained finalist without its least channels.

    Args:
        training: Identity of the finalist's training.
        ratio: Share of the channels of each layer that is cut, above 0 and below 1.
        retrained: The finalist.
    """

    def __init__(self, training: str, ratio: float, retrained: Retrained) -> None:
        self.training, self.ratio = training, ratio
        self._retrained = retrained

    def __call__(self, trial: Any) -> nn.Module:
        """The network with the weights that are left."""
        assert self._retrained.best is not None
        found = candidate(self._retrained, self._retrained.best)
        return _cut(found.network.cpu().eval(), found.example(2).cpu(), self.ratio)


def prune(retrained: Retrained, ratio: float = 0.5) -> Finalist:
    """A finalist without its least channels, by the magnitude of what they carry.

    `Retraining` trains it on, from the weights that are left.

    Args:
        retrained: The finalist, trained; the weights of its best seed are kept.
        ratio: Share of the channels of each layer that is cut.

    Raises:
        DescriptionError: The ratio is out of range, or the finalist is not trained.
        MeasurementError: The package torch-pruning is not installed, or cannot follow the network.
    """
    check_ratio(ratio)
    require("prune", "torch_pruning")
    best = retrained.best
    if best is None:
        raise DescriptionError(f"expected a trained finalist, got {retrained.finalist.name}")
    space = Pruned(retrained.trainings[str(best)], ratio, retrained)
    space(None)  # what cannot be pruned is told now
    whole = retrained.finalist
    return Finalist(
        f"{whole.name}, {100 * ratio:.0f} % pruned",
        "pruned",
        space,
        whole.hyperparameters,
        studies=(*whole.studies, retrained.study.study_name),
    )


def check_ratio(ratio: float) -> None:
    """See to it that something is cut, and something left.

    Raises:
        DescriptionError: It is not.
    """
    if not 0 < ratio < 1:
        raise DescriptionError(f"expected a ratio between 0 and 1, got ratio={ratio}")


def _cut(network: nn.Module, example: Tensor, ratio: float) -> nn.Module:
    import torch_pruning

    with torch.random.fork_rng(devices=[]):
        wanted = network(example).shape
        try:
            pruner = torch_pruning.pruner.MagnitudePruner(
                network,
                example,
                importance=torch_pruning.importance.MagnitudeImportance(),
                pruning_ratio=ratio,
                ignored_layers=_last(network),
            )
            pruner.step()
            got = network(example).shape
        except Exception as error:  # whatever a dependency graph stumbles over
            raise MeasurementError(
                f"the network cannot be pruned: {type(error).__name__}: {error}"
            ) from error
    if got != wanted:
        raise MeasurementError(f"pruning changed the outputs from {wanted} to {got}")
    return network.train()


def _last(network: nn.Module) -> list[nn.Module]:
    """The layer that answers: its outputs must stay."""
    layers = (m for m in network.modules() if isinstance(m, nn.Linear | nn.Conv2d))
    return list[nn.Module](layers)[-1:]
