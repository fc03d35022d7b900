"""Trained finalist -> files that deploy, each with its size, latency and trained objectives."""

from __future__ import annotations

import copy
import io
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from optuna_nas import backends
from optuna_nas.backends.export import INPUT, export_program
from optuna_nas.exceptions import MeasurementError, TrainingError
from optuna_nas.finalists.evaluation import candidate, validated
from optuna_nas.finalists.retrained import Retrained
from optuna_nas.objectives import Candidate, Latency, Metric
from optuna_nas.reporting.text import finite
from optuna_nas.study import Search
from optuna_nas.study.training import seeded, seeded_setup

__all__ = ["DROP", "FORMS", "TOLERANCE", "Form", "export"]

TOLERANCE = 1e-4
"""Most by which an exported network may differ from PyTorch, relative to its largest output."""
DROP = 0.01
"""What int8 may lose of the first trained objective: a fraction so much, others such a share."""
FORMS = 3
"""How many a finalist has where it can have all."""
CALIBRATION = 8
"""Batches of training data from which int8 takes its ranges."""
ON_CPU = {"accelerator": "cpu", "devices": 1, "strategy": "auto", "precision": "32-true"}
"""Of the Trainer: where forms run, whatever the network was trained on."""

Predict = Callable[[Tensor], Tensor]
Values = Mapping[str, float]


@dataclass(frozen=True)
class Form:
    """A file of a finalist, and what it is worth.

    Args:
        name: pytorch, onnx or onnx-int8.
        file: Its name in the finalist's folder.
        bytes: Its size.
        latency: ms, the median of one pass as measured by `objectives.Latency`; None where it
            could not be measured.
        values: Trained objective that is logged -> its value on validation data, by the very
            recipe that trained the network, on the CPU in single precision; none where that
            refuses them, as by a loss that is NaN.
        difference: Largest difference of its outputs to PyTorch's on validation data, relative to
            the largest output; None where one of them is not finite.
        deployable: Whether it is as good as PyTorch's: outputs within `TOLERANCE`; int8 at most
            `DROP` worse in the first trained objective, which is 1 point of a fraction, and 1 % of
            PyTorch's value in any other unit.
        note: What could not be done, or why it is not deployable.
    """

    name: str
    file: str
    bytes: int
    latency: float | None
    values: Values
    difference: float | None
    deployable: bool
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        """It, as a registered finalist's card has it."""
        return asdict(self)


def export(retrained: Retrained, seed: int, folder: Path) -> tuple[list[Form], list[str]]:
    """Write a finalist as `torch.export`, ONNX and int8 ONNX, and compare what they do.

    Args:
        retrained: The finalist.
        seed: Seed of the training that is exported.
        folder: Where to.

    Returns:
        The forms; and, of each that it cannot have, why: an operator that the format lacks, or
        that the packages of the extra `onnx` are missing.
    """
    found, search = candidate(retrained, seed), retrained.search
    network = copy.deepcopy(found.network).to("cpu", torch.float32).eval()
    trainer = {k: v for k, v in search.trainer.items() if k != "plugins"} | ON_CPU
    full, latency = validated(search, network, trainer), _latency(search)
    forms: list[Form] = []
    refused: list[str] = []
    for one in _written(network, found, search, refused):
        _write(folder / one.file, one.content)
        milliseconds, untimed = _time(latency, one.backend, found)
        beside = _Beside(one.predict, network)
        try:
            values = validated(search, beside, trainer)
            worse = _shortcoming(one.name, beside.difference, search, values, full)
        except TrainingError as error:  # the network itself could be validated
            values, worse = {}, f"{one.name} has no finite loss: {error}"
        note = "; ".join(filter(None, (worse, untimed)))
        measured = (len(one.content), milliseconds, values, beside.difference)
        forms.append(Form(one.name, one.file, *measured, not worse, note))
    return forms, refused


class _Written(NamedTuple):
    name: str
    backend: str
    file: str
    content: bytes
    predict: Predict


def _written(
    network: nn.Module, found: Candidate, search: Search, refused: list[str]
) -> Iterator[_Written]:
    """The network in each form that it can have; what it cannot is added to those refused."""
    try:
        program = _program(network, found.example(1).cpu())
        yield _Written("pytorch", "eager", "model.pt2", program, network)
    except MeasurementError as error:
        refused.append(f"no model.pt2: {error}")
    try:
        single = backends.export_onnx(network, found.example(2).cpu(), dynamic_batch=True)
        yield _Written("onnx", "onnxruntime", "model.onnx", single, _session(single))
        with seeded_setup(search.data, search.seed):
            int8 = backends.quantize(single, seeded(_calibration, search.seed, found))
        file = "model.int8.onnx"
        yield _Written("onnx-int8", "onnxruntime-int8", file, int8, _session(int8))
    except MeasurementError as error:
        refused.append(f"not in every form of ONNX: {error}")


def _calibration(found: Candidate) -> list[Tensor]:
    with closing(found.batches("train")) as batches:
        return [x for x, _ in islice(batches, CALIBRATION)]


def _latency(search: Search) -> Latency:
    """How the search measured latency, but for the backend."""
    asked = [o for o in search.measured if isinstance(o, Latency)]
    return asked[0] if asked else Latency()


def _time(latency: Latency, backend: str, found: Candidate) -> tuple[float | None, str]:
    try:
        return replace(latency, backend=backend)(found).value, ""
    except MeasurementError as refused:
        return None, f"no latency: {refused}"


def _program(network: nn.Module, example: Tensor) -> bytes:
    file = io.BytesIO()
    torch.export.save(export_program(network, example), file)
    return file.getvalue()


def _session(model: bytes) -> Predict:
    session = backends.session(model)

    def predict(x: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {INPUT: x.numpy()})[0])

    return predict


class _Beside(nn.Module):
    """A form of a network, which runs beside it, (B, *input_shape) -> (B, outputs).

    Attributes:
        difference: Largest difference of their outputs, relative to the largest output; None where
            one is not finite.
    """

    def __init__(self, predict: Predict, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self._predict = predict
        self._worst = self._largest = torch.zeros(())

    @property
    def difference(self) -> float | None:
        return finite(float(self._worst) / (float(self._largest) or 1.0))

    def forward(self, x: Tensor) -> Tensor:
        wanted, got = self.network(x), self._predict(x)
        self._worst = torch.maximum(self._worst, (got - wanted).abs().max())  # NaN stays NaN
        self._largest = torch.maximum(self._largest, wanted.abs().max())
        return got


def _shortcoming(
    name: str, difference: float | None, search: Search, values: Values, full: Values
) -> str:
    """Why a form is not to be deployed; empty where it is."""
    if difference is None:
        return "some of its outputs are not finite"
    if name != "onnx-int8":
        if difference <= TOLERANCE:
            return ""
        return f"outputs differ by {difference:.1e} of the largest, wanted {TOLERANCE:g} at most"
    judges = (o for o in (*search.optimised, *search.measured) if isinstance(o, Metric))
    first = next(judges, None)
    if first is None:
        return "no trained objective by which int8 could be compared"
    value, wanted = values[first.name], full[first.name]
    lost = wanted - value if first.direction == "maximize" else value - wanted
    most = DROP if first.unit == "fraction" else DROP * abs(wanted)
    if lost <= 1.0001 * most:  # values are of single precision
        return ""
    return f"int8 has {first.name} {value:.4g}, PyTorch {wanted:.4g}: over {most:.2g} worse"


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_bytes(content)
    os.replace(part, path)
