"""Latency as the sum of blocks that were timed once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pretended import OUTPUTS, SHAPE, SPACE, Counted, branches, draws, latency_of

from optuna_nas.architecture import Architecture
from optuna_nas.exceptions import MeasurementError
from optuna_nas.predictors import LatencyTable, build_table, complete
from optuna_nas.testing import PredictorConformance


def table_of(architectures: list[Architecture], latency: Counted | None = None) -> LatencyTable:
    table = LatencyTable(SHAPE, OUTPUTS, latency or Counted())
    assert complete(table, table.missing(architectures), architectures) == []
    return table


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tables" / "small.json"


class TestLatencyTable(PredictorConformance):
    @pytest.fixture
    def architectures(self) -> list[Architecture]:
        return [*draws(6, seed=1), branches()]

    @pytest.fixture
    def predictor(self, architectures: list[Architecture]) -> LatencyTable:
        return table_of([*draws(12), *architectures])


def test_it_adds_up_what_is_additive() -> None:
    held_back = [*draws(20, seed=1), branches()]
    table = table_of(draws(12))
    complete(table, table.missing(held_back))
    mean, deviation = table.predict(held_back)
    np.testing.assert_allclose(mean, [latency_of(a) for a in held_back], rtol=1e-6)
    assert (deviation < 1e-3 * mean).all()


def test_the_remainder_is_found() -> None:
    """A factor, and a time for each operator, that only whole networks show."""
    table = table_of(draws(16))
    table.networks = {a: 1.2 * ms + 0.004 * calls(table, a) for a, ms in table.networks.items()}
    factor, call, weight = table.remainder().costs
    assert (factor, call) == pytest.approx((1.2, 0.004), rel=1e-3)
    assert weight == pytest.approx(0, abs=1e-6)


def calls(table: LatencyTable, architecture: Architecture) -> float:
    return table._row(architecture)[1]


def test_each_block_is_timed_once_and_alone() -> None:
    architectures = [*draws(4), branches()]
    latency = Counted()
    table = table_of(architectures, latency)
    assert len(latency.calls) == len(table.blocks) + len(table.networks)
    inputs = [candidate.input_shape for candidate in latency.calls[: len(table.blocks)]]
    assert inputs == [configuration.inputs[0] for configuration in table.blocks]


def test_blocks_of_several_inputs_run_in_a_batch() -> None:
    latency = Counted(batch=3)
    table = LatencyTable(SHAPE, OUTPUTS, latency)
    complete(table, [c for c in table.missing([branches()]) if c.kind == "add"])
    (candidate,) = latency.calls
    assert candidate.network(candidate.example(3)).shape == (3, 8, 8, 8)


def test_a_network_with_a_block_that_was_not_timed_is_refused() -> None:
    table = table_of(draws(8))
    with pytest.raises(
        MeasurementError, match=r"1 that are not, such as add \{\} on 8x8x8, 8x8x8"
    ):
        complete(table, [c for c in table.missing([branches()]) if c.kind != "add"])
        table.predict([branches()])


def test_too_few_whole_networks_are_refused() -> None:
    table = table_of(draws(8))
    table.networks = dict(list(table.networks.items())[:4])
    with pytest.raises(MeasurementError, match="at least 5 measured networks"):
        table.predict(draws(1))


def build(path: Path, latency: Counted, **options: Any) -> Any:
    options = {"networks": 6, "samples": 40, **options}
    return build_table(SPACE, path, input_shape=SHAPE, outputs=OUTPUTS, latency=latency, **options)


def test_a_build_covers_what_it_drew_and_says_so(path: Path) -> None:
    shown: list[tuple[int, int]] = []
    building = build(path, Counted(), on_progress=lambda *at: shown.append(at))
    assert building.covered == 1
    assert building.timed == len(building.table.blocks) + 6 == shown[-1][0] == shown[-1][1]
    assert not building.refused
    mean, _ = LatencyTable.load(path).predict(draws(40))
    np.testing.assert_allclose(mean, [latency_of(a) for a in draws(40)], rtol=1e-6)


def test_a_build_that_was_stopped_goes_on(path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        build(path, Counted(stops=8))
    assert len(LatencyTable.load(path).blocks) == 7
    rest = Counted()
    whole = build(path, rest)
    assert len(rest.calls) == whole.timed == len(whole.table.blocks) + 6 - 7
    assert build(path, Counted()).timed == 0


def test_a_limit_times_the_blocks_of_the_first_networks_first(path: Path) -> None:
    some = build(path, Counted(), blocks=5)
    assert len(some.table.blocks) == 5
    assert 0 < some.covered < 1
    first = {c for a in some.scan.first for c in some.table.configurations(a)}
    assert set(some.table.blocks) <= first
    assert len(build(path, Counted(), blocks=5).table.blocks) == 10


def test_what_was_refused_is_tried_again(path: Path) -> None:
    once = build(path, Counted(refuses=(2, 3)))
    assert len(once.refused) == 2
    assert all(line.endswith(": refused to record a latency") for line in once.refused)
    assert build(path, Counted()).timed == 2


def test_refusals_in_a_row_end_a_build_that_can_go_on(path: Path) -> None:
    with pytest.raises(MeasurementError, match="refused to record"):
        build(path, Counted(refuses=tuple(range(4, 9))))
    assert len(LatencyTable.load(path).blocks) == 3


@pytest.mark.parametrize(
    ("latency", "changed"),
    [
        (Counted(batch=2), "batch: 1 -> 2"),
        (Counted(threads=2), "threads: 1 -> 2"),
        (Counted(backend="onnxruntime"), "backend: eager -> onnxruntime"),
    ],
)
def test_a_build_with_other_settings_is_refused(
    path: Path, latency: Counted, changed: str
) -> None:
    build(path, Counted(), blocks=1)
    with pytest.raises(MeasurementError, match=f"it changed: {changed}; give the other table"):
        build(path, latency)


def test_a_table_of_another_device_is_refused(path: Path) -> None:
    build(path, Counted(), blocks=1)
    data = json.loads(path.read_text())
    data["device"]["processor"] = "Abacus"
    path.write_text(json.dumps(data))
    with pytest.raises(MeasurementError, match=r"processor: Abacus -> .* build one here with"):
        LatencyTable.load(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "expected a latency table in .*, got none: No such file"),
        ("{", "expected a latency table in .*, got Expecting property name"),
        ("[]", "expected a latency table in .*, got list indices"),
        ('{"format": 2}', "got format 2 instead of 1"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "table.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(MeasurementError, match=message):
        LatencyTable.load(path)


def test_saving_leaves_one_file_that_reads_back(path: Path) -> None:
    table = table_of([*draws(6), branches()])
    table.save(path)
    table.save(path)
    assert list(path.parent.iterdir()) == [path]
    restored = LatencyTable.load(path)
    assert restored.blocks == table.blocks
    assert restored.networks == table.networks
    np.testing.assert_array_equal(restored.predict(draws(6)), table.predict(draws(6)))
