"""The tax benchmark runs, and times each way of training."""

from rich.console import Console

from optuna_nas.bench import tax


def test_it_times_each_way(monkeypatch) -> None:
    monkeypatch.setattr(tax, "EPOCHS", 1)
    result = tax.run(networks=2)
    assert result["networks"] == 2
    assert all(result[key] > 0 for key in ("ratio", "ratio_sqlite", "seconds_bare"))
    console = Console(record=True, width=100)
    console.print(tax.table(result))
    assert "bare torch loop" in console.export_text()
