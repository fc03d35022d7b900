"""Trained finalist -> files that deploy, each with its size, latency and accuracy."""

from __future__ import annotations

import copy
import io
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from optuna_nas import backends
from optuna_nas.backends.export import INPUT, export_program
from optuna_nas.exceptions import MeasurementError
from optuna_nas.finalists.evaluation import candidate
from optuna_nas.finalists.retrained import Retrained
from optuna_nas.objectives import Candidate, Latency

__all__ = ["DROP", "FORMS", "TOLERANCE", "Form", "export"]

TOLERANCE = 1e-4
"""Most by which an exported network may differ from PyTorch, relative to its largest output."""
DROP = 0.01
"""Accuracy lost by int8 above which it is not to be deployed."""
FORMS = 3
"""How many a finalist has where it can have all."""
CALIBRATION = 8
"""Batches of training data from which int8 takes its ranges."""

Predict = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Form:
    """A file of a finalist, and what it is worth.

    Args:
        name: pytorch, onnx or onnx-int8.
        file: Its name in the finalist's folder.
        bytes: Its size.
        latency: ms, the median of one pass as measured by `objectives.Latency`; None where it
            could not be measured.
        accuracy: Share of right answers on validation data; None where there are no classes.
        difference: Largest difference of its outputs to PyTorch's on validation data, relative to
            the largest output.
        deployable: Whether it is as good as PyTorch's: outputs within `TOLERANCE`, or for int8 an
            accuracy at most `DROP` lower.
        note: What could not be done, or why it is not deployable.
    """

    name: str
    file: str
    bytes: int
    latency: float | None
    accuracy: float | None
    difference: float
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
    found = candidate(retrained, seed)
    network = copy.deepcopy(found.network).to("cpu", torch.float32).eval()
    latency, full = _latency(retrained), None
    forms: list[Form] = []
    refused: list[str] = []
    for one in _written(network, found, refused):
        _write(folder / one.file, one.content)
        milliseconds, untimed = _time(latency, one.backend, found)
        accuracy, difference = _compare(one.predict, network, found)
        full = accuracy if one.name == "pytorch" else full
        worse = _shortcoming(one.name, accuracy, full, difference)
        note = "; ".join(filter(None, (worse, untimed)))
        measured = (len(one.content), milliseconds, accuracy, difference)
        forms.append(Form(one.name, one.file, *measured, not worse, note))
    return forms, refused


class _Written(NamedTuple):
    name: str
    backend: str
    file: str
    content: bytes
    predict: Predict


def _written(network: nn.Module, found: Candidate, refused: list[str]) -> Iterator[_Written]:
    """The network in each form that it can have; what it cannot is added to those refused."""
    try:
        program = _program(network, found.example(1).cpu())
        yield _Written("pytorch", "eager", "model.pt2", program, network)
    except MeasurementError as error:
        refused.append(f"no model.pt2: {error}")
    try:
        single = backends.export_onnx(network, found.example(2).cpu(), dynamic_batch=True)
        yield _Written("onnx", "onnxruntime", "model.onnx", single, _session(single))
        with closing(found.batches("train")) as batches:
            int8 = backends.quantize(single, (x for x, _ in islice(batches, CALIBRATION)))
        file = "model.int8.onnx"
        yield _Written("onnx-int8", "onnxruntime-int8", file, int8, _session(int8))
    except MeasurementError as error:
        refused.append(f"not in every form of ONNX: {error}")


def _latency(retrained: Retrained) -> Latency:
    """How the search measured latency, but for the backend."""
    asked = [o for o in retrained.search.measured if isinstance(o, Latency)]
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


def _compare(predict: Predict, network: nn.Module, found: Candidate) -> tuple[float | None, float]:
    """Accuracy on validation data, and the largest relative difference to the network."""
    right, count, worst, largest = 0, 0, 0.0, 0.0
    classes = True
    with torch.inference_mode():
        for x, y in _validation(found):
            wanted, got = network(x), predict(x)
            worst = max(worst, float((got - wanted).abs().max()))
            largest = max(largest, float(wanted.abs().max()))
            classes = classes and not y.is_floating_point() and wanted.ndim > 1
            if classes:
                right += int((got.argmax(1) == y).sum())
                count += y.numel()
    return right / count if classes and count else None, worst / (largest or 1.0)


def _validation(found: Candidate) -> Iterator[tuple[Tensor, Tensor]]:
    with torch.random.fork_rng(devices=[]):  # which loaders of data draw from
        torch.manual_seed(found.seed)
        yield from found.batches("validation")


def _shortcoming(name: str, accuracy: float | None, full: float | None, difference: float) -> str:
    """Why a form is not to be deployed; empty where it is."""
    if name != "onnx-int8":
        if difference <= TOLERANCE:
            return ""
        return f"outputs differ by {difference:.1e} of the largest, wanted {TOLERANCE:g} at most"
    if accuracy is None or full is None:
        return "no classes by which int8 could be compared"
    if full - accuracy <= DROP:
        return ""
    lost = 100 * (full - accuracy)
    return f"int8 loses {lost:.1f} points of accuracy, wanted {100 * DROP:g} at most"


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_bytes(content)
    os.replace(part, path)
