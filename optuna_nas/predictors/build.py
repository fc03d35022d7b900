"""Building a latency table: find the blocks of a space, and time each of them once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import optuna
import torch
from torch import Tensor, nn

from optuna_nas.architecture import Architecture
from optuna_nas.blocks import Block, Shape
from optuna_nas.exceptions import DescriptionError, MeasurementError
from optuna_nas.model.configuration import Configuration
from optuna_nas.objectives import Candidate, Latency
from optuna_nas.predictors.predictor import FEWEST
from optuna_nas.predictors.scan import Scan, scan
from optuna_nas.predictors.table import LatencyTable, Subject, changed, how

__all__ = ["Building", "build_table", "complete"]

NETWORKS = 24
"""Whole networks that are timed, to correct the sum of the blocks."""
SAMPLES = 5000
"""Networks drawn at most to find the blocks of a space."""
TOLERANCE = 0.05
"""To which blocks are timed, at least: in a sum of many blocks their errors cancel out."""
REFUSALS = 5
"""Refused measurements in a row after which timing ends; those refused before do not count."""

OnProgress = Callable[[int, int], None]
"""Called with how many are timed, of how many."""

_logger = logging.getLogger(__name__)


@dataclass
class Building:
    """What came of building a table.

    Args:
        table: The table.
        scan: What was seen of the space.
        timed: Blocks and networks timed now.
        refused: Why some could not be timed now; the next building tries them again.
    """

    table: LatencyTable
    scan: Scan
    timed: int = 0
    refused: list[str] = field(default_factory=list)

    @property
    def covered(self) -> float:
        """Share of the nodes drawn from the space whose block is in the table."""
        known = sum(n for c, n in self.scan.counts.items() if c in self.table.blocks)
        return known / self.scan.counts.total()


def build_table(
    space: Callable[[optuna.Trial], Any],
    path: Path | str,
    *,
    input_shape: tuple[int, ...],
    outputs: int,
    latency: Latency | None = None,
    networks: int = NETWORKS,
    samples: int = SAMPLES,
    blocks: int | None = None,
    seed: int = 0,
    on_progress: OnProgress = lambda done, total: None,
) -> Building:
    """Build a latency table of a space, or go on with one.

    The blocks are those of random networks of the space. Those of the networks that are timed
    whole come first, then these, so that the table soon predicts; then the blocks that many
    networks have. The file is written after each, so that a build which was stopped goes on; what
    was refused then is tried again last. A table can be built for several spaces, one after
    another.

    Args:
        space: Draws an `Architecture` from a trial.
        path: Where the table is.
        input_shape: Shape of one sample.
        outputs: Values per sample that a network returns.
        latency: How blocks and networks are timed.
        networks: Whole networks to time.
        samples: Networks to draw at most to find blocks.
        blocks: Blocks to time now, at most; by default all.
        seed: Of the drawing.
        on_progress: Called before each measurement and at the end.

    Raises:
        MeasurementError: The table at `path` is of another machine, or was timed otherwise; or
            one measurement after another is refused; or the file cannot be written.
        DescriptionError: Not enough networks, or fewer samples than networks.
        SpaceError: The space returns modules.
    """
    if not FEWEST <= networks <= samples:
        raise DescriptionError(
            f"expected at least {FEWEST} networks, and as many samples, got {networks} networks "
            f"and {samples} samples"
        )
    latency = latency or Latency()
    table = _open(Path(path), tuple(input_shape), outputs, latency)
    seen = scan(space, table.input_shape, outputs, samples=samples, first=networks, seed=seed)
    if len(seen.first) < FEWEST:
        _logger.warning(
            f"only {len(seen.first)} networks of the space differ, too few to correct the sums of "
            "their blocks; measure them instead"
        )
    first = {c for a in seen.first for c in table.configurations(a)}
    often = sorted((c for c, _ in seen.counts.most_common()), key=lambda c: c not in first)
    wanted = _untimed(table, often)[:blocks]
    soon, later = [c for c in wanted if c in first], [c for c in wanted if c not in first]
    before = len(table.blocks) + len(table.networks)
    refused = complete(table, [*soon, *seen.first, *later], path=path, on_progress=on_progress)
    timed = len(table.blocks) + len(table.networks) - before
    return Building(table, seen, timed, refused)


def complete(
    table: LatencyTable,
    subjects: Sequence[Subject],
    *,
    path: Path | str | None = None,
    on_progress: OnProgress = lambda done, total: None,
) -> list[str]:
    """Time blocks and whole networks that a table has not; those refused before come last.

    Args:
        table: The table; what is timed, or refused, is added to it.
        subjects: Blocks, such as `table.missing(architectures)`, and whole networks.
        path: Where to save the table after each measurement; by default nowhere.
        on_progress: Called before each measurement and at the end.

    Returns:
        Why some were refused.

    Raises:
        MeasurementError: One measurement after another is refused, or the table cannot be saved.
    """

    def save() -> None:
        if path is not None:
            table.save(path)

    save()  # what cannot be written is known before hours of work
    wanted = _untimed(table, subjects)
    refused: list[str] = []
    in_a_row = 0
    if wanted and table.calibration is None:
        table.calibration = table.latency.calibrate()
    for done, subject in enumerate(wanted):
        on_progress(done, len(wanted))
        try:
            _time(table, subject)
            in_a_row = 0
        except MeasurementError as error:
            refused.append(f"{_name(subject)}: {error}")
            in_a_row += subject not in table.refused
            table.refused[subject] = str(error)
        save()
        if in_a_row == REFUSALS:
            raise MeasurementError(
                f"gave up after {REFUSALS} refused measurements in a row, the last of "
                f"{refused[-1]}; the table keeps the rest, and the same again goes on"
            )
    on_progress(len(wanted), len(wanted))
    return refused


def _untimed(table: LatencyTable, subjects: Iterable[Subject]) -> list[Subject]:
    """Those that a table has not, each once; those that were refused before come last."""
    there = {*table.blocks, *table.networks}
    return sorted(
        (s for s in dict.fromkeys(subjects) if s not in there), key=table.refused.__contains__
    )


def _time(table: LatencyTable, subject: Subject) -> None:
    shared = {table.latency.name: table.calibration or {}}
    if isinstance(subject, Architecture):
        whole = Candidate(subject, table.input_shape, table.outputs, calibrations=shared)
        table.networks[subject] = table.latency(whole).value
    else:
        alone = _OneInput(subject, table.latency.batch)
        block = Candidate(alone, subject.inputs[0], calibrations=shared)
        coarse = replace(table.latency, tolerance=max(table.latency.tolerance, TOLERANCE))
        table.blocks[subject] = coarse(block).value
    table.refused.pop(subject, None)


def _open(path: Path, input_shape: Shape, outputs: int, latency: Latency) -> LatencyTable:
    if not path.exists():
        return LatencyTable(input_shape, outputs, latency)
    table = LatencyTable.load(path)
    there = {"input_shape": table.input_shape, "outputs": table.outputs, **how(table.latency)}
    wanted = {"input_shape": input_shape, "outputs": outputs, **how(latency)}
    if changes := changed(there, wanted):
        raise MeasurementError(
            f"expected the table in {path} to be built as it was begun, but it changed: "
            f"{changes}; give the other table another path"
        )
    table.latency = latency
    return table


def _name(subject: Subject) -> str:
    return subject.describe() if isinstance(subject, Architecture) else str(subject)


class _OneInput(nn.Module):
    """A block whose inputs after the first are fixed, as a network of one input."""

    def __init__(self, configuration: Configuration, batch: int) -> None:
        super().__init__()
        self.batch = batch
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.block: Block = configuration.build()
        self.names = [f"input{number}" for number in range(1, len(configuration.inputs))]
        self.input_dtype = self.block.input_dtype
        others = self.block.example(batch, *configuration.inputs)[1:]
        for name, other in zip(self.names, others, strict=True):
            self.register_buffer(name, other)

    def forward(self, x: Tensor) -> Tensor:
        others = [self.get_buffer(name) for name in self.names]
        if len(x) != self.batch:  # a candidate is first tried on one input
            others = [other[: len(x)] for other in others]
        output: Tensor = self.block(x, *others)
        return output
