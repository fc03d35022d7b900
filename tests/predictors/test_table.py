"""Latency as the sum of blocks that were timed once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pretended import OUTPUTS, SHAPE, SPACE, Counted, branches, draws, latency_of

from optuna_nas.architecture import Architecture
from optuna_nas.blocks.merge import Add
from optuna_nas.exceptions import DescriptionError, MeasurementError
from optuna_nas.predictors import LatencyTable, build_table, complete
from optuna_nas.testing import PredictorConformance


def table_of(architectures: list[Architecture], latency: Counted | None = None) -> LatencyTable:
    table = LatencyTable(SHAPE, OUTPUTS, latency or Counted())
    assert complete(table, [*table.missing(architectures), *architectures]) == []
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
    return float(table._amounts([architecture])[0, 1])


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


def test_blocks_that_join_their_inputs_run_in_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    def joined(self: Add, *inputs: torch.Tensor) -> torch.Tensor:
        return torch.cat(inputs, dim=1)  # where no batch of one is spread over the others

    monkeypatch.setattr(Add, "forward", joined)
    latency = Counted(batch=3)
    table = LatencyTable(SHAPE, OUTPUTS, latency)
    assert not complete(table, [c for c in table.missing([branches()]) if c.kind == "add"])
    (candidate,) = latency.calls
    assert candidate.network(candidate.example(3)).shape == (3, 16, 8, 8)


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


def test_a_whole_network_with_a_block_that_was_not_timed_is_left_out() -> None:
    table = table_of(draws(12))
    whole = table.predict(draws(6))
    table.networks[branches()] = 1e6
    assert branches() not in table.usable
    np.testing.assert_array_equal(table.predict(draws(6)), whole)


def test_the_correction_is_that_of_the_networks_that_are_there_now() -> None:
    table = table_of(draws(12))
    before = table.predict(draws(1))[0]
    table.networks = {network: 2 * ms for network, ms in table.networks.items()}
    np.testing.assert_allclose(table.predict(draws(1))[0], 2 * before)


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


def test_a_build_that_is_stopped_early_predicts_already(path: Path) -> None:
    whole = build(path, Counted()).table
    assert [a.digest for a in whole.networks] == [a.digest for a in draws(6)]
    needed = {c for a in whole.networks for c in whole.configurations(a)}
    path.unlink()
    with pytest.raises(KeyboardInterrupt):
        build(path, Counted(stops=len(needed) + 6 + 1))
    table = LatencyTable.load(path)
    assert set(table.blocks) == needed
    assert len(table.usable) == 6
    assert table.predict(draws(6))[0].shape == (6,)


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
    told = (
        "gave up after 5 refused .* the last of .*: refused to record a latency; the table keeps"
    )
    with pytest.raises(MeasurementError, match=told):
        build(path, Counted(refuses=tuple(range(4, 9))))
    table = LatencyTable.load(path)
    assert len(table.blocks) == 3
    assert list(table.refused.values()) == ["refused to record a latency"] * 5


def test_blocks_that_are_always_refused_do_not_stop_a_table_for_good(path: Path) -> None:
    with pytest.raises(MeasurementError, match="gave up"):
        build(path, Counted(refuses=tuple(range(1, 6))))
    never = set(LatencyTable.load(path).refused)
    some = build(path, Counted(), blocks=5).table
    assert len(some.blocks) == 5 and not never & set(some.blocks)
    left = len(some.blocks) + len(some.networks)
    subjects = len(build(path.with_name("other.json"), Counted()).table.blocks) + 6
    last = tuple(range(subjects - left - 4, subjects - left + 1))
    rest = build(path, Counted(refuses=last))
    assert set(rest.table.refused) == never and len(rest.refused) == 5
    assert rest.covered < 1 and len(rest.table.blocks) == subjects - 6 - 5
    assert build(path, Counted()).timed == 5
    assert not LatencyTable.load(path).refused


def test_a_table_that_cannot_be_written_is_refused_before_anything_is_timed(path: Path) -> None:
    path.parent.write_text("a file")
    latency = Counted()
    with pytest.raises(MeasurementError, match=r"write the latency table to .*small"):
        build(path, latency)
    assert not latency.calls


@pytest.mark.parametrize("options", [{"networks": 4}, {"networks": 41}])
def test_counts_that_make_no_sense_are_refused(path: Path, options: dict[str, int]) -> None:
    with pytest.raises(DescriptionError, match=r"at least 5 networks, .* and 40 samples"):
        build(path, Counted(), **options)


def test_a_space_of_few_networks_is_warned_of(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    build_table(
        lambda trial: branches(), path, input_shape=SHAPE, outputs=OUTPUTS, latency=Counted()
    )
    assert "only 1 networks of the space differ" in caplog.text


@pytest.mark.parametrize(
    ("latency", "changed"),
    [
        (Counted(batch=2), "batch: 1 -> 2"),
        (Counted(threads=2), "threads: 1 -> 2"),
        (Counted(backend="compile"), "backend: eager -> compile"),
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
    data["backend_version"] = "torch 0.1"
    path.write_text(json.dumps(data))
    told = r"processor: Abacus -> .*; backend_version: torch 0.1 -> torch .* build one here with"
    with pytest.raises(MeasurementError, match=told):
        LatencyTable.load(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "expected a latency table in .*, got none: No such file"),
        ("{", "expected a latency table in .*, got something else: .* Expecting property name"),
        ("[]", "expected a latency table in .*, got something else: TypeError: list indices"),
        ('{"format": 2}', "format 2 instead of 1"),
        ('{"format": 1}', "KeyError: 'input_shape'"),
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
    table.refused = {table.missing(draws(20))[0]: "died", draws(8)[7]: "hung"}
    table.save(path)
    table.save(path)
    assert list(path.parent.iterdir()) == [path]
    restored = LatencyTable.load(path)
    assert restored.blocks == table.blocks
    assert restored.networks == table.networks
    assert restored.refused == table.refused
    np.testing.assert_array_equal(restored.predict(draws(6)), table.predict(draws(6)))
