"""The benchmark of predictors runs on a latency that is counted, and is JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from optuna_nas.bench import predictors
from optuna_nas.exceptions import MeasurementError
from optuna_nas.objectives import Candidate, FLOPs, Latency, Measurement


@dataclass(frozen=True, kw_only=True)
class Counted(Latency):
    """1 us for each 10,000 FLOPs, and a network refused now and then."""

    seen: list[int]

    def calibrate(self) -> dict[str, Any]:
        return {"reference_ms": 1.0}

    def __call__(self, candidate: Candidate) -> Measurement:
        self.seen.append(1)
        if len(self.seen) % 37 == 0:
            raise MeasurementError("refused to record a latency")
        return Measurement(FLOPs()(candidate).value * 1e-7 + 0.01)


def test_it_compares_the_predictors_on_both_spaces() -> None:
    latency = Counted(seen=[])
    result = predictors.run(learned=16, corrected=12, held_back=10, latency=latency)
    assert json.loads(json.dumps(result)) == result
    assert [space["space"] for space in result["spaces"]] == ["cnn", "mobilenet"]
    for space in result["spaces"]:
        assert set(space["predictors"]) == {"table", "learned", "flops", "repeat"}
        assert 0 < space["held_back"] <= 10
        assert space["predictors"]["repeat"]["within_10"] == 1
        assert space["predictors"]["table"]["spearman"] > 0.9
    console = Console(record=True, width=120)
    console.print(predictors.table(result))
    assert "repeat" in console.export_text()
