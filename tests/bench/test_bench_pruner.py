import json

from rich.console import Console

from optuna_nas.bench import pruner


def test_the_benchmark_is_json_and_can_be_shown():
    result = pruner.run(histories=[30], seeds=1, ladders=[(12, 4)], decisions=10)
    assert json.loads(json.dumps(result)) == result
    (cost,) = result["decisions"]
    assert cost["trials"] == 30
    console = Console(record=True, width=120)
    console.print(pruner.table(result))
    assert "30 trials" in console.export_text()
