"""What predicts a latency, and the regression that predictors share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LinearRegression

from optuna_nas.architecture import Architecture
from optuna_nas.exceptions import MeasurementError

__all__ = ["FEWEST", "Additive", "Predictor", "Values"]

Values = NDArray[np.float64]

FEWEST = 5
"""Measured networks below which nothing is fitted."""
BAGS = 40


class Predictor(Protocol):
    """Anything that predicts the latency of networks which nobody has timed."""

    def predict(self, architectures: Sequence[Architecture]) -> tuple[Values, Values]:
        """Predict latencies.

        Returns:
            Mean and standard deviation of each, in ms, two arrays (N,).
        """
        ...


class Additive:
    """A latency as a sum of amounts times costs, none negative, fitted to relative errors.

    `costs` (F,) are in ms; `error` is the root mean square of the relative errors on networks
    that a fit has not seen.

    The uncertainty has two parts: how far fits to bootstrap samples differ, and how far they are
    from the networks that each has not seen.

    Source: non-negative least squares, Lawson and Hanson 1974, doi:10.1137/1.9781611971217;
    bootstrap aggregation, Breiman 1996, doi:10.1007/BF00058655.
    """

    def fit(self, amounts: Values, latencies: Values) -> Additive:
        """Find the cost of each amount.

        Args:
            amounts: What networks need, (N, F), none of it negative.
            latencies: What they took, (N,), in ms.

        Raises:
            MeasurementError: Too few networks.
        """
        if len(latencies) < FEWEST:
            raise MeasurementError(
                f"expected at least {FEWEST} measured networks to fit a predictor to, "
                f"got {len(latencies)}; measure more"
            )
        scale = np.maximum(amounts.max(axis=0), np.finfo(float).tiny)
        relative, ones = amounts / scale / latencies[:, None], np.ones(len(latencies))
        line = LinearRegression(positive=True, fit_intercept=False)
        self.costs: Values = line.fit(relative, ones).coef_ / scale
        drawn = np.random.default_rng(0).integers(len(ones), size=(BAGS, len(ones)))
        fits = np.array([line.fit(relative[sample], ones).coef_ for sample in drawn])
        self.bagged: Values = fits / scale
        seen = np.array([np.isin(np.arange(len(ones)), sample) for sample in drawn])
        unseen = np.nanmedian(np.where(seen, np.nan, fits @ relative.T), axis=0)
        self.error = float(np.sqrt(np.mean((unseen - 1) ** 2)))
        return self

    def predict(self, amounts: Values) -> tuple[Values, Values]:
        """Mean and standard deviation in ms, (N,) each, of amounts (N, F)."""
        mean = amounts @ self.costs
        return mean, np.hypot(np.std(amounts @ self.bagged.T, axis=1), self.error * mean)
