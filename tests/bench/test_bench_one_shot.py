"""What a one-shot search costs beside training every candidate."""

from __future__ import annotations

import json

from optuna_nas.bench.one_shot import bench_one_shot


def test_it_counts_all_that_a_front_takes() -> None:
    said = []
    found = bench_one_shot(
        candidates=6, trained=3, epochs=1, supernet_epochs=1, finalists=2, say=said.append
    )
    assert json.loads(json.dumps(found)) == found
    parts = ("supernet", "scoring", "training")
    assert all(found[f"seconds_{part}"] > 0 for part in parts)
    total = sum(found[f"seconds_{part}"] for part in parts)
    assert abs(found["seconds_one_shot"] - total) < 1e-6
    assert 1 <= found["networks_trained"] <= 2
    assert found["networks_from_scratch"] == 3
    equal = found["seconds_from_scratch_to_equal"]
    assert found["ratio_is_at_least"] is (equal is None)
    assert found["ratio"] == (equal or found["seconds_from_scratch"]) / total
    assert any("scratch 3/3" in line for line in said)
