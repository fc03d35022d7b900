"""Ending a search by gradients before it collapses; one way a class."""

from __future__ import annotations

from collections.abc import Callable
from statistics import mean

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from optuna_nas.exceptions import DescriptionError
from optuna_nas.supernet.differentiable.hypergradient import dominant_eigenvalue
from optuna_nas.supernet.differentiable.progress import Progress
from optuna_nas.supernet.differentiable.undisturbed import undisturbed

__all__ = ["STOPS", "HessianStop", "SkipStop"]


class SkipStop(Callback):
    """Ends a search when a cell would have too many skips, and takes the network before that.

    Args:
        most: Skips that a cell may have; the paper's cells have 2.
        after: Epochs after which it looks; before that parameters are near chance.

    Raises:
        DescriptionError: Fewer than none.

    Source: DARTS+, Liang et al. 2019, arXiv:1909.06035.
    """

    def __init__(self, most: int = 2, after: int = 1) -> None:
        if most < 0 or after < 0:
            raise DescriptionError(
                f"expected most and after from 0, got most={most}, after={after}"
            )
        self.most = most
        self.after = after

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count skips."""
        progress = Progress.of(trainer)
        last = progress.epochs[-1]
        if last.number > self.after and last.most_skips > self.most:
            why = f"{last.most_skips} skips in a cell, more than {self.most}"
            progress.stop(trainer, why, max(last.number - 1, 1))


class HessianStop(Callback):
    """Ends a search when the loss has become sharp in the architecture, at the network before.

    It looks at the dominant eigenvalue of the Hessian of the validation loss by the architecture
    parameters, on one batch that is always the same, after each epoch. Where its mean over
    `window` epochs was less than `ratio` of what it is, as many epochs ago, the network is taken
    from there.

    Args:
        window: Epochs over which eigenvalues are averaged, and looked back.
        ratio: Of the mean before to the mean now; 0 only keeps the eigenvalues.
        iterations: Products with the Hessian at most, each at the cost of two steps.

    Raises:
        DescriptionError: A number out of its range.

    Source: R-DARTS, Zela et al. 2020, arXiv:1909.09656, section 4.3.
    """

    def __init__(self, window: int = 5, ratio: float = 0.75, iterations: int = 20) -> None:
        if window < 1 or not 0 <= ratio < 1 or iterations < 1:
            raise DescriptionError(
                "expected window >= 1, ratio in [0, 1) and iterations >= 1, got "
                f"window={window}, ratio={ratio}, iterations={iterations}"
            )
        self.window = window
        self.ratio = ratio
        self.iterations = iterations

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at the curvature."""
        progress = Progress.of(trainer)
        bilevel = progress.bilevel
        batch = trainer.strategy.batch_to_device(bilevel.halves.probe)
        with undisturbed(bilevel.network, pl_module):
            loss = bilevel.architecture_loss(batch)
            parameters = list(bilevel.alphas.operators)
            value = dominant_eigenvalue(loss, parameters, self.iterations)
        progress.epochs[-1].eigenvalue = value
        values = [e.eigenvalue for e in progress.epochs if e.eigenvalue is not None]
        if len(values) < 2 * self.window:
            return
        now, before = mean(values[-self.window :]), mean(values[-2 * self.window : -self.window])
        if now > 0 and before < self.ratio * now:
            why = f"dominant eigenvalue {before:.3g} -> {now:.3g} in {self.window} epochs"
            progress.stop(trainer, why, progress.epochs[-1].number - self.window)


STOPS: dict[str, Callable[[], Callback]] = {"hessian": HessianStop, "skips": SkipStop}
"""Name -> way to end a search early."""
