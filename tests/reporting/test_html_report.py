from __future__ import annotations

import gzip
import re
from base64 import b64decode
from html.parser import HTMLParser
from pathlib import Path

import optuna
import pytest
from plotly.offline import get_plotlyjs
from synthetic import make_search, make_study, make_trial, study_of

from optuna_nas.reporting import (
    front,
    html,
    hypervolume_history,
    plot_finalists,
    verdict,
    write_report,
)

HOSTILE = "<img src=x onerror=alert(1)></script><script>alert(2)</script>&amp;"


class Page(HTMLParser):
    """Tags, the text of each table cell with its attributes, and everything a tag points to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.tags: list[str] = []
        self.targets: list[str] = []
        self.scripts: list[str] = []
        self.rows: dict[str, list[dict[str, str | None]]] = {}
        self._table = ""
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append(tag)
        self.targets += [v or "" for k, v in attrs if k in ("src", "href", "action", "data")]
        if tag == "table":
            self._table = found.get("id") or ""
        if tag in ("tr", "td") and self._table:
            self.rows.setdefault(self._table, []).append(found | {"tag": tag})

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1] == "script":
            self.scripts.append(data)


@pytest.fixture(scope="module")
def page(search: optuna.Study, tmp_path_factory: pytest.TempPathFactory) -> Page:
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(search, path)
    return Page(path)


def test_the_numbers_of_the_front_are_those_of_storage(page: Page, search: optuna.Study) -> None:
    listed: dict[int, list[float]] = {}
    for cell in page.rows["front"]:
        if cell["tag"] == "tr" and "data-number" in cell:
            listed[int(cell["data-number"] or "")] = current = []
        elif cell.get("data-value"):
            current.append(float(cell["data-value"] or ""))
    assert list(listed) == [r.number for r in front(search)]
    for number, cells in listed.items():
        assert cells[:2] == search.trials[number].values


def test_the_page_holds_plotly_once_and_loads_nothing(page: Page) -> None:
    (packed,) = re.findall(r'id="plotly">([^<]*)<', page.source)
    assert gzip.decompress(b64decode(packed)).decode() == get_plotlyjs()
    assert page.targets == ["data:,"]
    assert "default-src &#39;none&#39;" in page.source
    style = page.source[page.source.index("<style>") : page.source.index("</style>")]
    assert not re.search(r"url\(|@import", style)


def test_a_thousand_trials_stay_under_four_megabytes(tmp_path: Path) -> None:
    write_report(make_search(1000, epochs=27), tmp_path / "large.html")
    assert (tmp_path / "large.html").stat().st_size < 4_000_000


def test_hostile_text_anywhere_is_only_text(tmp_path: Path) -> None:
    trial = make_trial(
        (0.5, 1.0),
        network=HOSTILE,
        digest=HOSTILE,
        outcome="trained",
        ended=HOSTILE,
        measurements={HOSTILE: {"value": 1.0, "unit": HOSTILE, "spread": 0.1, HOSTILE: HOSTILE}},
        provenance={"device": {HOSTILE: HOSTILE}, "versions": HOSTILE},
    )
    study = study_of([trial], name=HOSTILE, names=[HOSTILE, f"cost ({HOSTILE})"])
    write_report(study, tmp_path / "hostile.html")
    ordinary, hostile = tmp_path / "ordinary.html", Page(tmp_path / "hostile.html")
    write_report(study_of([make_trial((0.5, 1.0))]), ordinary)
    assert "img" not in hostile.tags
    assert hostile.tags.count("script") == Page(ordinary).tags.count("script")
    assert "&lt;img src=x onerror=alert(1)&gt;" in hostile.source
    assert "<img src=x" not in hostile.source and "alert(2)</script>" not in hostile.source


def test_a_report_that_fails_leaves_the_older_one(
    search: optuna.Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "new" / "report.html"
    write_report(search, path)
    older = path.read_bytes()

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(html.os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_report(make_search(3), path)
    assert path.read_bytes() == older
    assert list(path.parent.iterdir()) == [path]


def test_studies_with_nothing_or_little_in_them_have_a_report(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_report(make_search(0), path)
    assert "No trial has been trained" in path.read_text()
    plain = make_study(names=None, directions=["minimize"])
    plain.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
    plain.enqueue_trial({"x": 0.5})
    write_report(plain, path)
    assert "objective 0" in path.read_text()


@pytest.mark.parametrize("count", [1, 3, 5])
def test_any_number_of_objectives_is_drawn_pair_by_pair(count: int, tmp_path: Path) -> None:
    names = [f"quantity{i} (unit)" for i in range(count)]
    trials = [make_trial([float(n + i) for i in range(count)], network=str(n)) for n in range(3)]
    study = study_of(trials, names=names, directions=["minimize"] * count)
    write_report(study, tmp_path / "report.html")
    drawn = re.findall(r'id="plot-(front[^"]*)"', (tmp_path / "report.html").read_text())
    assert len(drawn) == {1: 1, 3: 3, 5: 4}[count]


@pytest.mark.parametrize(
    "trials",
    [
        pytest.param([make_trial(None, "pruned", curve={1: (0.1, 1.0)})], id="nothing complete"),
        pytest.param([make_trial(None, "failed", epochs=0)], id="nothing trained"),
        pytest.param([make_trial((0.5, 1.0), epochs=0)], id="without curves"),
        pytest.param([make_trial((float("inf"), 1.0), curve={1: (0.5, 1.0)})], id="infinite"),
        pytest.param([make_trial((0.5, 1.0), architecture={"format": 99})], id="newer format"),
        pytest.param([make_trial((0.5, 1.0), architecture=None)], id="a module"),
    ],
)
def test_whatever_there_is_has_a_report(
    trials: list[optuna.trial.FrozenTrial], tmp_path: Path
) -> None:
    write_report(study_of(trials), tmp_path / "report.html")
    assert "Every trial" in (tmp_path / "report.html").read_text()


def test_finalists_stand_beside_baselines(page: Page, tmp_path: Path) -> None:
    assert "optuna-nas finalists STUDY.py" in page.source
    study = study_of([make_trial((0.5, 1.0))])
    study.set_user_attr(
        "finalists", [final("trial 0", "front", 0.9), final("<b>", "average", 0.8)]
    )
    write_report(study, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert "A finalist beats &lt;b&gt;: as good in every objective, and better in one." in text
    assert "0.900 ± 0.010" in text and "accuracy (test)" in text and "0.7000" in text
    found, average = plot_finalists(study).data
    assert (found.name, list(found.x), list(found.y)) == ("finalists", [1.0], [0.9])
    assert list(average.text) == ["&lt;b&gt;"] and list(average.error_y.array) == [0.01]


def final(name: str, role: str, accuracy: float) -> dict[str, object]:
    """A finalist or baseline as the study keeps it."""
    return {
        "name": name,
        "role": role,
        "values": {
            "accuracy": {"mean": accuracy, "deviation": 0.01},
            "latency": {"mean": 1.0, "deviation": None, "spread": 0.2},
        },
        "test": {"accuracy": {"mean": 0.7, "deviation": None}},
        "parameters": 1234,
        "cost": {"epochs": 18, "seconds": 3.0},
    }


def test_each_use_of_the_test_split_is_told(page: Page, tmp_path: Path) -> None:
    assert "The test split has not been used" in page.source
    study = study_of([make_trial((0.5, 1.0))])
    use = {"finalist": "trial 0", "opened": "2026-11-01", "reason": "a new <seed>"}
    study.set_user_attr("test_use", [use])
    write_report(study, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert "a new &lt;seed&gt;" in text and "interrupted, and showed nothing" in text


def test_what_pruning_saved_and_how_it_was_measured_is_said(page: Page) -> None:
    for said in ("saved by pruning", "Testor 3000", "settled", "typical spread", "326 epochs"):
        assert said in page.source


def test_a_trial_that_ends_while_the_report_is_written_breaks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = study_of([make_trial([0.5 + n / 100, 4.0 - n]) for n in range(3)])
    running = [study.ask() for _ in range(40)]
    read = study._storage.get_all_trials

    def read_then_finish(study_id: int, **options: bool) -> list[optuna.trial.FrozenTrial]:
        trials = read(study_id, **options)
        if running:
            study.tell(running.pop(), [0.9, 0.1 * len(running)])
        return trials

    monkeypatch.setattr(study._storage, "get_all_trials", read_then_finish)
    write_report(study, tmp_path / "report.html")
    assert len(hypervolume_history(study).hypervolume) == 43


def test_parameters_have_one_column_also_where_they_are_an_objective(tmp_path: Path) -> None:
    study = study_of([make_trial((0.5, 1.0))], names=["accuracy", "parameters"])
    write_report(study, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert text.count("<button>parameters</button>") == 1
    assert text.count('<th class="number">parameters</th>') == 1


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ([0.95], "The search did not beat a0: as good as a finalist in every objective"),
        ([0.8, 0.9], "A finalist beats a0: as good in every objective, and better in one; 1 more"),
        ([0.9], "No finalist beats a baseline; 1 more are neither better nor worse."),
        ([None], "No finalist beats a baseline; 1 could not be compared."),
    ],
)
def test_a_verdict_tells_what_is_better_from_what_is_not_known(
    others: list[float | None], said: str
) -> None:
    study = study_of([make_trial((0.5, 1.0))])
    rows = [final("trial 0", "front", 0.9)]
    for number, mean in enumerate(others):
        row = final(f"a{number}", "average", mean or 0.0)
        row["values"]["accuracy"]["mean"] = mean
        rows.append(row)
    study.set_user_attr("finalists", rows)
    assert verdict(study).startswith(said)
