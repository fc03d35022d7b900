"""Accuracy that a trained network loses when it is quantised."""

from __future__ import annotations

import copy
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Any, ClassVar

import torch
from torch import Tensor

from optuna_nas import backends
from optuna_nas.backends.export import INPUT
from optuna_nas.exceptions import DataError, DescriptionError
from optuna_nas.objectives.candidate import Candidate
from optuna_nas.objectives.objective import Direction, Measurement, Objective, Stage

__all__ = ["QuantizationDrop"]

BACKEND = "onnxruntime-int8"


@dataclass(frozen=True, kw_only=True)
class QuantizationDrop(Objective):
    """Validation accuracy in single precision less that of an int8 copy, as a fraction.

    The copy is made by ONNX Runtime's static quantisation after training, as in the backend
    onnxruntime-int8, its ranges are calibrated on training data, and both run in ONNX Runtime on
    all validation data. Below 0 the int8 copy is right more often. A difference of fewer than
    some examples, of which the record holds the number, means nothing.

    Args:
        calibration: Batches of training data to calibrate on.

    Raises:
        DescriptionError: An argument is out of its range.

    Source: Jacob et al. 2018, arXiv:1712.05877.
    """

    name: str = "quantization_drop"
    unit: str = "fraction"
    direction: Direction = "minimize"
    calibration: int = 8
    stage: ClassVar[Stage] = "trained"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.calibration < 1:
            raise DescriptionError(
                f"expected QuantizationDrop(calibration=...) above 0, got {self.calibration}"
            )

    def check(self) -> None:
        """Raise a MeasurementError where ONNX Runtime is not installed."""
        backends.find(BACKEND)().check()

    def __call__(self, candidate: Candidate) -> Measurement:
        with torch.random.fork_rng(devices=[]):  # which loaders of data draw from
            torch.manual_seed(candidate.seed)
            hits, count = self._hits(candidate)
        single, int8 = (int(number) / count for number in hits)
        details = {
            "accuracy_fp32": single,
            "accuracy_int8": int8,
            "examples": count,
            "calibration": self.calibration,
            "backend": BACKEND,
            "backend_version": backends.find(BACKEND)().version(),
        }
        return Measurement(single - int8, details=details)

    def _hits(self, candidate: Candidate) -> tuple[Tensor, int]:
        """Right answers of the network and of its int8 copy (2,), and the number of examples."""
        network = copy.deepcopy(candidate.network).to("cpu", torch.float32).eval()
        single = backends.export_onnx(network, candidate.example(2).cpu(), dynamic_batch=True)
        with closing(candidate.batches("train")) as batches:
            seen = islice(batches, self.calibration)
            int8 = backends.quantize(single, (x for x, _ in seen))
        sessions = backends.session(single), backends.session(int8)
        hits, count = torch.zeros(2, dtype=torch.long), 0
        for x, y in candidate.batches("validation"):
            hits += torch.stack([_right(session, x, y) for session in sessions])
            count += len(y)
        return hits, count


def _right(session: Any, x: Tensor, y: Tensor) -> Tensor:
    if y.is_floating_point() or y.ndim != 1:
        raise DataError(
            "expected targets (B,) of classes, since quantisation may lower the share of right "
            f"answers, got {y.dtype} of shape {tuple(y.shape)}"
        )
    logits = torch.from_numpy(session.run(None, {INPUT: x.numpy()})[0])
    return (logits.argmax(1) == y).sum()
