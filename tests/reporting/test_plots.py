from __future__ import annotations

import subprocess
import sys

import numpy as np
import optuna
import plotly.graph_objects as go
import pytest
from synthetic import make_search, make_study, make_trial, study_of

from optuna_nas.exceptions import DescriptionError
from optuna_nas.pruners import ParetoHyperband
from optuna_nas.reporting import (
    front,
    hypervolume_history,
    plot_cost,
    plot_front,
    plot_hypervolume,
    plot_importances,
    plot_learning_curves,
    plot_preferences,
    plot_rungs,
    plots,
    totals,
)

PLOTS = [getattr(plots, name) for name in plots.__all__]


def trace(figure: go.Figure, name: str) -> go.Scatter:
    return next(trace for trace in figure.data if trace.name == name)


def test_the_front_is_drawn_with_its_spread_over_everything_else(search: optuna.Study) -> None:
    figure = plot_front(search)
    drawn, found = trace(figure, "front"), front(search)
    assert list(drawn.customdata) == [r.number for r in found]
    assert list(drawn.x) == [r.values["latency"] for r in found]
    assert list(drawn.y) == [r.values["accuracy"] for r in found]
    assert list(drawn.error_x.array) == [r.spread("latency") / 2 for r in found]
    assert not drawn.error_y.visible
    for record, hover in zip(found, drawn.text, strict=True):
        assert f"trial {record.number}" in hover and "ms (eager, 1 thread)" in hover
        assert record.network.split(" > ")[0] in hover
    assert len(trace(figure, "dominated").x) + len(found) == 32
    pruned = [t for t in search.trials if t.user_attrs["outcome"] == "pruned"]
    last = [t.system_attrs[f"nas:step:{t.user_attrs['spent']['epochs']}"] for t in pruned]
    assert list(trace(figure, "pruned").y) == [accuracy for accuracy, _ in last]
    assert figure.layout.xaxis.title.text == "latency (ms, eager, 1 thread)"


def test_a_cost_has_a_log_axis_only_over_more_than_a_decade(search: optuna.Study) -> None:
    assert plot_front(search).layout.xaxis.type == "log"
    narrow = study_of([make_trial((0.5, 1.0)), make_trial((0.6, 9.0), network="b")])
    assert plot_front(narrow).layout.xaxis.type is None


def test_one_and_three_objectives_are_drawn() -> None:
    single = make_study(names=["loss (nats)"], directions=["minimize"])
    single.add_trials([make_trial((v,), network=str(v), curve={1: (v,)}) for v in (0.3, 0.1)])
    assert list(trace(plot_front(single), "front").y) == [0.1]
    names, directions = ("a", "b (ms)", "c (J)"), ("maximize", "minimize", "minimize")
    triple = study_of([make_trial((1.0, 2.0, 3.0))], names=names, directions=directions)
    drawn = trace(plot_front(triple), "front")
    assert drawn.mode == "markers" and "c 3 J" in drawn.text[0]
    for plot in PLOTS:
        assert plot(single).data is not None and plot(triple).data is not None


def test_any_two_objectives_can_be_drawn(search: optuna.Study) -> None:
    turned = plot_front(search, ["latency", "accuracy"])
    assert list(trace(turned, "front").y) == list(trace(plot_front(search), "front").x)
    with pytest.raises(DescriptionError, match=r"two objectives among .*got \['latency', 'x'\]"):
        plot_front(search, ["latency", "x"])


def test_what_was_rejected_untrained_is_a_tick_at_its_cost() -> None:
    latency = {"latency": {"value": 7.0, "unit": "ms"}}
    study = study_of([make_trial((0.5, 1.0)), make_trial(None, "rejected", measurements=latency)])
    ticks = trace(plot_front(study), "rejected untrained")
    assert list(ticks.x) == [7.0] and list(ticks.y) == [0.0] and ticks.yaxis == "y2"
    assert list(ticks.customdata) == [1]


def test_hypervolume_starts_at_nothing_and_follows_the_history(search: optuna.Study) -> None:
    history = hypervolume_history(search)
    drawn = plot_hypervolume(search).data[0]
    assert list(drawn.x) == [0, *history.epochs]
    assert list(drawn.y) == [0, *history.hypervolume]
    assert "latency (ms, eager, 1 thread)" in drawn.name


def test_every_learning_curve_is_drawn_once(search: optuna.Study) -> None:
    figure = plot_learning_curves(search)
    numbers = np.concatenate([np.unique(trace.customdata) for trace in figure.data])
    learned = [t.number for t in search.trials if t.user_attrs["spent"]["epochs"]]
    assert sorted(numbers) == learned
    assert {trace.name for trace in figure.data} == {"pruned", "trained", "front"}
    assert set(trace(figure, "front").customdata) == {r.number for r in front(search)}
    latency = plot_learning_curves(search, "latency")
    assert latency.layout.yaxis.title.text == "latency (ms, eager, 1 thread)"
    with pytest.raises(DescriptionError, match=r"accuracy.*latency.*got 'speed'"):
        plot_learning_curves(search, "speed")


def test_a_trial_taken_up_again_is_one_curve_and_one_survivor() -> None:
    first = make_trial(None, "lost", curve={1: (0.1, 1.0), 2: (0.2, 1.0)})
    second = make_trial((0.9, 1.0), curve={3: (0.9, 1.0)}, continues=0)
    pruned = make_trial(None, "pruned", network="b", curve={1: (0.0, 1.0)})
    study = study_of([first, second, pruned])
    (drawn,) = [t for t in plot_learning_curves(study).data if t.name == "front"]
    assert list(drawn.x[:3]) == [1, 2, 3] and set(drawn.customdata) == {1}
    went_on, ended = plot_rungs(study).data
    assert list(went_on.x) == ["epoch 1"] and list(went_on.y) == [1] and list(ended.y) == [1]


def test_rungs_count_who_went_on_and_who_did_not(search: optuna.Study) -> None:
    went_on, ended = plot_rungs(search).data
    assert list(went_on.x) == ["epoch 1", "epoch 3"]
    assert sum(ended.y) == 22
    assert went_on.y[1] == 32
    assert went_on.y[0] == 32 + ended.y[1]


def test_curves_have_the_colours_of_their_brackets(search: optuna.Study) -> None:
    study = optuna.load_study(
        study_name=search.study_name,
        storage=search._storage,
        pruner=ParetoHyperband(min_resource=1, max_resource=9),
    )
    names = [trace.name for trace in plot_learning_curves(study).data]
    assert names == ["bracket 0", "bracket 1", "bracket 2", "front"]


def test_cost_is_what_was_spent_and_saved(search: optuna.Study) -> None:
    spent = totals(search)
    drawn = {trace.name: trace for trace in plot_cost(search).data}
    assert list(drawn) == ["spent", "saved by pruning", "saved by rejecting"]
    assert drawn["spent"].text[0] == f"{spent.epochs:,} epochs"
    assert sum(trace.x[0] for trace in drawn.values()) == pytest.approx(1)


def test_preferences_and_importances_have_a_row_each(search: optuna.Study) -> None:
    random, chosen = plot_preferences(search).data
    assert list(random.y) == list(chosen.y) and random.name == "first 10 trials"
    accuracy, latency = plot_importances(search).data
    assert (accuracy.name, latency.name) == ("accuracy", "latency")
    assert list(accuracy.y) == list(latency.y) and len(accuracy.y) == 12
    assert set(accuracy.text) <= {f"in {n} of 32 networks" for n in range(33)}


@pytest.mark.parametrize("plot", PLOTS)
def test_an_empty_study_has_an_empty_figure(plot: object) -> None:
    figure = plot(make_search(0))
    assert isinstance(figure, go.Figure) and figure.layout.annotations[0].text


def test_hostile_names_are_text_in_hover_labels() -> None:
    study = study_of([make_trial((0.5, 1.0), network="<a href='javascript:x'>n</a>")])
    assert "&lt;a href='javascript:x'&gt;" in trace(plot_front(study), "front").text[0]


def test_plotly_is_not_loaded_before_a_figure_is_asked_for() -> None:
    code = "import sys, optuna_nas.reporting; sys.exit('plotly' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
