"""Large networks more often.

Source: best-up sampling, Wang et al. 2021 (AttentiveNAS), arXiv:2011.09011, with the size of a
network in place of its predicted accuracy.
"""

from __future__ import annotations

from dataclasses import dataclass

from optuna_nas.samplers.proposing import check_least
from optuna_nas.samplers.uniform import generator
from optuna_nas.supernet.drawing.candidates import Candidates, Params
from optuna_nas.supernet.drawing.drawing import Drawing, register

__all__ = ["BestUp"]


@register("best-up")
@dataclass(frozen=True)
class BestUp(Drawing):
    """The largest of some networks drawn at random, and others at random.

    What only large networks have, the last channels of a layer, the outermost entries of a kernel,
    else learns in few steps, and large networks are ranked too low.

    Args:
        candidates: How many the first of a step is the largest of, by parameters and FLOPs.

    Raises:
        DescriptionError: Fewer than one.
    """

    candidates: int = 8

    def __post_init__(self) -> None:
        check_least("candidates", self.candidates, 1)

    def __call__(
        self, candidates: Candidates, step: int, paths: int, progress: float
    ) -> list[Params]:
        rng = generator("best-up", candidates.seed, step)
        drawn = candidates.by_size
        largest = drawn[rng.integers(len(drawn), size=self.candidates).max()]
        return [largest, *(candidates.at_random(step, path) for path in range(1, paths))]
