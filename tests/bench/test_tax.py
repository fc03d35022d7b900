"""The tax benchmark runs, and times each way of training."""

import pytest
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


def test_it_counts_images_a_second_beside_a_bare_loop() -> None:
    result = tax.throughput("cpu", images=100, batch=16, epochs=2, networks=1)
    rates = result["images_per_second_search"], result["images_per_second_bare"]
    assert min(rates) > 0
    assert result["throughput_ratio"] == pytest.approx(rates[0] / rates[1])


def test_it_counts_them_where_there_is_a_gpu(monkeypatch) -> None:
    counted = {
        "device": "cuda",
        "images_per_second_bare": 2000.0,
        "images_per_second_search": 1900.0,
        "throughput_ratio": 0.95,
    }
    monkeypatch.setattr(tax, "EPOCHS", 1)
    monkeypatch.setattr(tax, "throughput", lambda: counted)
    monkeypatch.setattr(tax, "_times", lambda *_: [1.0, 1.0, 1.0])
    assert "throughput_ratio" not in tax.run(networks=1)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    console = Console(record=True, width=120)
    console.print(tax.table(tax.run(networks=1)))
    told = " ".join(console.export_text().split())
    assert "cuda: 2,000 images a second in a bare loop, 1,900 in a trial, 0.95 of it" in told
