"""The front of a one-shot study, trained; and what reports say of inherited values."""

from __future__ import annotations

import json
import shutil
from io import StringIO

import optuna
import pytest
from rich.console import Console
from small import Recipe, modules, search
from synthetic_study import inherited_study

import optuna_nas as nas
from optuna_nas.exceptions import DescriptionError, SpaceError, StudyError
from optuna_nas.finalists import compare, follow_up
from optuna_nas.reporting import front, front_json, front_table, status, write_report
from optuna_nas.study.record import records


def printed(shown) -> str:
    console = Console(width=200, file=StringIO())
    console.print(shown)
    return console.file.getvalue()


@pytest.fixture
def url(tmp_path) -> str:
    return f"sqlite:///{tmp_path}/s.db"


def test_the_front_is_trained_in_studies_of_its_own_and_compared(url, tmp_path) -> None:
    shared = search()
    study = shared.run(trials=14, storage=url)
    digests = {record.digest for record in front(study)}
    budget = nas.Budget(epochs=2)
    others = []
    for fine_tune in (False, True):
        following = follow_up(shared, study, budget, fine_tune)
        assert following.search.trials == len(digests)
        others.append(following.run())
        assert {record.digest for record in records(others[-1])} == digests
        assert all(record.outcome == "trained" for record in records(others[-1]))
        assert not any(record.inherited for record in records(others[-1]))
        again = follow_up(shared, study, budget, fine_tune)
        assert again.search.trials == 0
        assert len(again.run().trials) == len(digests)
    scratch, tuned = others
    assert scratch.study_name == "shared-from-scratch"
    weights = study.user_attrs["supernet"]["weights"]
    for trial in tuned.trials:
        assert trial.user_attrs["estimator"] == {"name": "fine-tuned", "weights": weights}
    found = compare(study, scratch, tuned)
    assert {record.digest for record in found.networks} == digests
    shown = printed(found)
    for name in ("validation_loss", "accuracy", "shared-from-scratch", "shared-fine-tuned"):
        assert name in shown
    assert "parameters" not in found.values["shared"][found.networks[0].digest]
    shutil.rmtree(tmp_path / "shared.checkpoints")
    with pytest.raises(StudyError, match="expected the weights of the supernet"):
        follow_up(shared, study, budget, fine_tune=True)


def test_a_fine_tuned_network_begins_with_what_it_inherits(url) -> None:
    shared = search(estimator=nas.supernet.OneShot(epochs=40))
    study = shared.run(trials=6, storage=url)
    first = []
    for fine_tune in (False, True):
        following = follow_up(shared, study, nas.Budget(epochs=1), fine_tune, count=1)
        assert following.search.trials == 1
        first.append(following.run().trials[0].values[0])
    scratch, tuned = first
    assert tuned < scratch


def test_weights_of_another_space_are_not_fine_tuned(url, tmp_path) -> None:
    search(space=modules).run(trials=1, storage=url)
    (file,) = (tmp_path / "shared.checkpoints").iterdir()
    tuned = search(name="tuned", estimator=nas.supernet.FineTuned(file))
    with pytest.raises(SpaceError, match="shared weights of this space"):
        tuned.run(trials=1, storage=url)
    missing = search(name="none", estimator=nas.supernet.FineTuned(tmp_path / "none.pt"))
    with pytest.raises(SpaceError, match="expected a file that"):
        missing.run(trials=1, storage=url)


class Fails(Recipe):
    """Cannot train one network; scoring it is another matter."""

    def on_fit_start(self):
        if not isinstance(self.network, nas.supernet.Supernet) and Fails.first:
            Fails.first = False
            raise ValueError("no")

    first = True


def test_a_network_that_fails_is_not_replaced_by_another(url) -> None:
    shared = search(module=Fails)
    study = shared.run(trials=10, storage=url)
    digests = {record.digest for record in front(study)}
    following = follow_up(shared, study, nas.Budget(epochs=1))
    outcomes = [r.outcome for r in records(following.run())]
    assert outcomes == ["failed"] + ["trained"] * (len(digests) - 1)
    assert follow_up(shared, study, nas.Budget(epochs=1)).search.trials == 0


def test_what_cannot_be_followed_up_is_refused(url) -> None:
    shared = search()
    with pytest.raises(StudyError, match="to have inherited weights"):
        follow_up(shared, shared.study(url), nas.Budget(epochs=1))
    study = shared.run(trials=0, storage=url)
    with pytest.raises(StudyError, match="to have a front"):
        follow_up(shared, study, nas.Budget(epochs=1))
    with pytest.raises(DescriptionError, match="studies to compare with"):
        compare(study)


@pytest.mark.parametrize(("agreement", "doubted"), [(1, False), (-1, True)])
def test_the_report_shows_how_both_orders_agree_and_warns(agreement, doubted, tmp_path) -> None:
    study, trained = inherited_study(agreement)
    found = compare(study, trained)
    (known,) = found.correlations
    assert known.spearman == pytest.approx(agreement)
    assert known.kendall == pytest.approx(agreement)
    assert known.networks == 8
    assert bool(found.doubt) is doubted
    compare(study, trained)
    assert len(study.user_attrs["inheritance"]) == 1
    write_report(study, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert 'id="correlations"' in text
    assert ("says little of that after training" in text) is doubted
    assert ("doubt" in status(study)) is doubted


def test_everything_that_shows_the_front_says_that_weights_are_inherited(tmp_path) -> None:
    study, trained = inherited_study(1)
    assert "inherited weights" in printed(front_table(study))
    assert "inherited" not in printed(front_table(trained))
    assert {network["weights"] for network in front_json(study)} == {"inherited"}
    assert {network["weights"] for network in front_json(trained)} == {"trained"}
    assert json.loads(json.dumps(status(study)))["weights"] == "inherited"
    assert status(study)["supernet_epochs"] == 30
    assert status(study)["supernet_seconds"] == 12.5
    assert "weights" not in status(trained)
    for shown, expected in ((study, True), (trained, False)):
        write_report(shown, tmp_path / "report.html")
        text = (tmp_path / "report.html").read_text()
        assert ("Values are those of weights inherited from one supernet" in text) is expected
        assert ("The supernet was trained for 30 epochs, in 0:12" in text) is expected
        assert ("Learning curves</h3>" in text) is not expected


def test_hypervolume_is_drawn_against_trials_where_none_trains() -> None:
    study, _ = inherited_study(1)
    drawn = nas.reporting.plot_hypervolume(study)
    assert drawn.layout.xaxis.title.text == "trials spent"
    assert list(drawn.data[0].x) == list(range(9))
    assert optuna.study.StudyDirection.MINIMIZE == study.directions[0]
