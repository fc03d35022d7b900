"""Building a latency table: find the blocks of a space, and time each of them once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import optuna
import torch
from torch import Tensor, nn

from optuna_nas.architecture import Architecture
from optuna_nas.blocks import Block, Shape
from optuna_nas.exceptions import MeasurementError
from optuna_nas.objectives import Candidate, Latency
from optuna_nas.predictors.configuration import Configuration
from optuna_nas.predictors.scan import Scan, scan
from optuna_nas.predictors.table import LatencyTable, how

__all__ = ["Building", "build_table", "complete"]

NETWORKS = 24
"""Whole networks that are timed, to correct the sum of the blocks."""
SAMPLES = 5000
"""Networks drawn at most to find the blocks of a space."""
TOLERANCE = 0.05
"""To which blocks are timed, at least: in a sum of many blocks their errors cancel out."""
REFUSALS = 5
"""Refused measurements in a row after which timing ends."""

OnProgress = Callable[[int, int], None]
"""Called with how many are timed, of how many."""


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

    The blocks are those of random networks of the space; those that many networks have are timed
    first. The file is written after each, so that a build which was stopped goes on. A table can
    be built for several spaces, one after another.

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
            one measurement after another is refused.
        SpaceError: The space returns modules.
    """
    latency = latency or Latency()
    table = _open(Path(path), tuple(input_shape), outputs, latency)
    seen = scan(space, table.input_shape, outputs, samples=samples, first=networks, seed=seed)
    first = {c: None for a in seen.first for c in table.configurations(a)}
    often = [c for c, _ in seen.counts.most_common()]
    wanted = [c for c in dict.fromkeys([*first, *often]) if c not in table.blocks][:blocks]
    before = len(table.blocks) + len(table.networks)
    refused = complete(table, wanted, seen.first, path=path, on_progress=on_progress)
    timed = len(table.blocks) + len(table.networks) - before
    return Building(table, seen, timed, refused)


def complete(
    table: LatencyTable,
    configurations: Sequence[Configuration],
    networks: Sequence[Architecture] = (),
    *,
    path: Path | str | None = None,
    on_progress: OnProgress = lambda done, total: None,
) -> list[str]:
    """Time blocks and whole networks that a table has not.

    Args:
        table: The table; what is timed is added to it.
        configurations: Blocks, such as `table.missing(architectures)`.
        networks: Whole networks.
        path: Where to save the table after each measurement; by default nowhere.
        on_progress: Called before each measurement and at the end.

    Returns:
        Why some were refused.

    Raises:
        MeasurementError: One measurement after another is refused.
    """
    wanted: list[Configuration | Architecture] = []
    wanted += [c for c in dict.fromkeys(configurations) if c not in table.blocks]
    wanted += [a for a in dict.fromkeys(networks) if a not in table.networks]
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
            in_a_row += 1
            if in_a_row == REFUSALS:
                raise
        if path is not None:
            table.save(path)
    on_progress(len(wanted), len(wanted))
    return refused


def _time(table: LatencyTable, subject: Configuration | Architecture) -> None:
    shared = {table.latency.name: table.calibration or {}}
    if isinstance(subject, Architecture):
        whole = Candidate(subject, table.input_shape, table.outputs, calibrations=shared)
        table.networks[subject] = table.latency(whole).value
    else:
        alone = _OneInput(subject, table.latency.batch)
        block = Candidate(alone, subject.inputs[0], calibrations=shared)
        coarse = replace(table.latency, tolerance=max(table.latency.tolerance, TOLERANCE))
        table.blocks[subject] = coarse(block).value


def _open(path: Path, input_shape: Shape, outputs: int, latency: Latency) -> LatencyTable:
    if not path.exists():
        return LatencyTable(input_shape, outputs, latency)
    table = LatencyTable.load(path)
    there = {"input_shape": table.input_shape, "outputs": table.outputs, **how(table.latency)}
    wanted = {"input_shape": input_shape, "outputs": outputs, **how(latency)}
    if differ := [key for key, value in wanted.items() if there[key] != value]:
        changes = "; ".join(f"{key}: {there[key]} -> {wanted[key]}" for key in differ)
        raise MeasurementError(
            f"expected the table in {path} to be built as it was begun, but it changed: "
            f"{changes}; give the other table another path"
        )
    table.latency = latency
    return table


def _name(subject: Configuration | Architecture) -> str:
    return subject.describe() if isinstance(subject, Architecture) else str(subject)


class _OneInput(nn.Module):
    """A block whose inputs after the first are fixed, as a network of one input."""

    def __init__(self, configuration: Configuration, batch: int) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.block: Block = configuration.build()
        self.names = [f"input{number}" for number in range(1, len(configuration.inputs))]
        for name, shape in zip(self.names, configuration.inputs[1:], strict=True):
            self.register_buffer(name, torch.zeros(batch, *shape))

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.block(x, *(self.get_buffer(name) for name in self.names))
        return output
