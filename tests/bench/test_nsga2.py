import json

import optuna
from rich.console import Console

from optuna_nas.bench import nsga2


def test_the_comparison_is_json_and_shown_as_a_table() -> None:
    result = nsga2.run(seeds=2, marks=(20, 30), histories=(10,), samplers=("ours", "random"))
    assert json.loads(json.dumps(result)) == result
    console = Console(width=120, record=True)
    console.print(nsga2.table(result))
    volumes = [m["hypervolume"] for m in result["samplers"].values()]
    assert all(0 < v["20"] <= v["30"] for v in volumes)
    assert all(m["milliseconds"]["10"] > 0 for m in result["samplers"].values())
    assert "ours" in console.export_text()
    assert set(result["samplers"]) == {"ours", "random"}


def test_the_space_is_conditional_and_its_values_finite() -> None:
    study = optuna.create_study(
        directions=["minimize", "minimize"], sampler=optuna.samplers.RandomSampler(seed=0)
    )
    study.optimize(nsga2.objective, n_trials=200)
    names = [set(trial.params) for trial in study.trials]
    shared = set.intersection(*names)
    assert shared == {"depth", "stem", "lr", "layer0.operator", "layer1.operator"}
    assert len(set.union(*names)) == 3 + 8 * (1 + 2 + 3 + 3)
    assert all(
        0.05 < error < 2 and 2 < cost < 7 for error, cost in (t.values for t in study.trials)
    )


def test_ours_finds_more_than_optunas() -> None:
    result = nsga2.run(seeds=3, marks=(350,), histories=(), samplers=("ours", "optuna nsga2"))
    ours, optunas = (m["hypervolume"]["350"] for m in result["samplers"].values())
    assert ours > optunas
