from __future__ import annotations

import io
import logging
import math
import sys

import optuna
import pytest
from optuna.trial import FrozenTrial
from rich.console import Console
from synthetic import make_search, make_study, make_trial

from optuna_nas.reporting import LiveView, front

TRIALS = 60


class Clock:
    """Seconds that pass only when told."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def console(terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=120, height=40)


def text(shown: Console) -> str:
    return str(shown.file.getvalue())


def view_of(
    shown: Console,
    trials: int | None = TRIALS,
    timeout: float | None = None,
    clock: Clock | None = None,
) -> LiveView:
    return LiveView(make_study("watched"), trials, timeout, shown, clock or Clock())


def run(view: LiveView, trials: list[FrozenTrial], clock: Clock, seconds: float = 2.0) -> None:
    with view:
        for trial in trials:
            clock.now += seconds
            view.update(view._study, trial)


def test_without_a_terminal_each_trial_is_one_plain_line(search: optuna.Study) -> None:
    shown, clock = console(False), Clock()
    run(view_of(shown, clock=clock), search.trials, clock)
    lines = text(shown).splitlines()
    assert len(lines) == TRIALS + 1
    assert "\x1b" not in text(shown)
    for trial, line in zip(search.trials, lines, strict=False):
        assert line.startswith(f"trial {trial.number} {trial.user_attrs['outcome']}")
        assert trial.user_attrs["ended"] in line
        assert f"{trial.number + 1}/{TRIALS} done" in line
    assert "1:58 left" in lines[0] and "0:00 left" in lines[-2]
    assert lines[-1].startswith(f"{TRIALS} trials in 2:00:  32 trained")


def test_the_timeout_ends_the_run_when_it_comes_sooner(search: optuna.Study) -> None:
    shown, clock = console(False), Clock()
    run(view_of(shown, timeout=30.0, clock=clock), search.trials[:1], clock)
    assert "0:28 left" in text(shown)
    shown, clock = console(False), Clock()
    run(view_of(shown, trials=None, clock=clock), search.trials[:1], clock)
    assert "1 done\n" in text(shown)


def test_a_line_holds_whatever_the_reason_says() -> None:
    shown, clock = console(False), Clock()
    failed = make_trial(None, "failed", ended="RuntimeError: [bold]a\nb\x1b[31m")
    run(view_of(shown, clock=clock), [failed], clock)
    assert "(RuntimeError: [bold]a b[31m)" in text(shown).splitlines()[0]


def test_on_a_terminal_the_panel_shows_counts_front_and_progress(search: optuna.Study) -> None:
    shown, clock = console(True), Clock()
    view = view_of(shown, clock=clock)
    with view:
        for trial in search.trials:
            clock.now += 1
            view.update(search, trial)
        view.epoch(60, 4, {"val_accuracy": 0.9123})
        view._live.refresh()
    seen = text(shown)
    counts = "32 trained · 22 pruned (37 %) · 6 rejected (10 %)"
    for part in (
        "60/60 done",
        counts,
        "60 trials a minute · 326 epochs",
        "hypervolume",
        "ends about",
    ):
        assert part in seen
    assert "trial 60  epoch 4  val_accuracy 0.9123" in seen
    best = front(search)[0]
    assert f"{best.values['accuracy']:.4f}" in seen
    assert "and 1 more" in seen


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_the_terminal_is_restored_however_the_run_ends(error: type[BaseException]) -> None:
    shown, streams = console(True), (sys.stdout, sys.stderr)
    with pytest.raises(error), view_of(shown):
        raise error
    assert text(shown).rindex("\x1b[?25h") > text(shown).rindex("\x1b[?25l")
    assert (sys.stdout, sys.stderr) == streams
    assert text(shown).endswith("0 failed\n")


def test_a_resumed_study_starts_with_the_front_it_has(search: optuna.Study) -> None:
    shown = console(True)
    with LiveView(search, 5, None, shown):
        pass
    assert f"{len(front(search))} networks on the front" in text(shown)


def test_it_is_an_optuna_callback_and_reads_storage_once(monkeypatch: pytest.MonkeyPatch) -> None:
    study = make_study(names=["loss"], directions=["minimize"])
    reads = 0
    original = optuna.Study.get_trials

    def counted(self: optuna.Study, *args: object, **options: object) -> list[FrozenTrial]:
        nonlocal reads
        reads += 1
        return original(self, *args, **options)

    shown = console(False)
    with LiveView(study, 20, None, shown) as view:
        monkeypatch.setattr(optuna.Study, "get_trials", counted)
        for _ in range(20):
            trial = study.ask()
            trial.suggest_float("x", 0, 1)
            view.update(study, study.tell(trial, trial.params["x"]))
    assert reads == 0
    study.optimize(lambda trial: 1.0, n_trials=2, callbacks=[view.update])
    assert len(text(shown).splitlines()) == 23


def test_trials_of_other_workers_are_read_when_the_study_has_grown() -> None:
    study = make_study("shared")
    with LiveView(study, None, None, console(True)) as view:
        study.add_trials(make_search(40).trials)
        view.update(study, study.trials[39])
        assert sum(view._tally.counts.values()) == 40


def test_a_log_record_on_standard_error_does_not_break_the_panel() -> None:
    shown = console(True)
    with view_of(shown):
        handler = logging.StreamHandler()
        handler.emit(logging.makeLogRecord({"msg": "a warning from elsewhere"}))
    assert "a warning from elsewhere" in text(shown)


def test_without_a_terminal_a_supernet_has_a_line_now_and_then() -> None:
    shown, clock = console(False), Clock()
    with view_of(shown, clock=clock) as view:
        for epoch in range(1, 8):
            view.epoch(None, epoch, {"loss": 1 / epoch})
            clock.now += 10
    told = ((1, "1"), (4, "0.2500"), (7, "0.1429"))
    lines = [f"supernet  epoch {epoch}  loss {loss}" for epoch, loss in told]
    assert text(shown).splitlines()[:-1] == lines


def test_a_search_with_inherited_weights_counts_scored_trials() -> None:
    shown, clock = console(False), Clock()
    study = make_study("watched")
    for number in range(3):
        study.add_trial(make_trial([0.5, 1.0 + number], "scored", epochs=0))
    with LiveView(study, 3, None, shown, clock):
        pass
    assert "3 scored · 0 rejected · 0 reused · 0 failed" in text(shown).splitlines()[-1]


def test_an_infinite_value_is_left_out_of_the_plot_and_of_the_hypervolume() -> None:
    study, shown = make_study("watched"), console(terminal=True)
    for values in ((0.5, 1.0), (0.6, 2.0), (0.1, math.inf), (0.55, -math.inf)):
        study.add_trial(make_trial(values, network=str(values)))
    with LiveView(study, TRIALS, None, shown, Clock()) as view:
        shown.print(view._panel())
    assert "2 networks on the front · hypervolume 0" in text(shown)
    assert "●" in text(shown)
