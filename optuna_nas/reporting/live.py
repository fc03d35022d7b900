"""Progress of a search while it runs: a live panel on a terminal, otherwise a line a trial."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from types import TracebackType

import optuna
from optuna.trial import FrozenTrial
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from optuna_nas.reporting.front import known_values
from optuna_nas.reporting.scatter import scatter
from optuna_nas.reporting.table import networks_table
from optuna_nas.reporting.tally import Tally, point
from optuna_nas.reporting.text import duration, heading, one_line, percent, quantity
from optuna_nas.reporting.trust import unit_of
from optuna_nas.study import lease
from optuna_nas.study.record import Record, objective_names, objective_units

__all__ = ["LiveView"]

ROWS = 10
PLOT_LINES = (7, 12)
OTHER_LINES = 14
"""Lines of the panel beside its table and its plot."""
REFRESHES_PER_SECOND = 0.4
"""With 1,000 trials a refresh takes 16 ms: with the panels of the dashboard under 1 % of a run."""
SECONDS_PER_LINE = 30.0
"""Least time between two lines on the training of a supernet."""
SECONDS_PER_LOOK = 30.0
"""Least time between two looks at who works on the study."""
COUNTED = ("trained", "pruned", "rejected", "reused", "failed")
SHARES = ("pruned", "rejected", "reused")
COUNTED_INHERITED = ("scored", "rejected", "reused", "failed")


class LiveView:
    """Shows a search while it runs; a context manager.

    Each finished trial costs a little arithmetic, not a walk through the study, so the view stays
    under 1 % of the run.

    Args:
        study: The study that is run; what it holds already is counted and shown.
        trials: Trials that this run is to finish, or None.
        timeout: Seconds after which this run ends, or None.
        console: Where to show it.
        clock: Seconds from any fixed moment.
    """

    def __init__(
        self,
        study: optuna.Study,
        trials: int | None,
        timeout: float | None,
        console: Console,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._study = study
        self._trials = trials
        self._timeout = timeout
        self._console = console
        self._clock = clock
        self._lock = threading.Lock()
        self._units = dict(zip(objective_names(study), objective_units(study), strict=True))
        self._done = 0
        self._current = Text()
        self._next_line = self._next_look = 0.0
        self._workers = 0
        self._live: Live | None = None

    def __enter__(self) -> LiveView:
        self._started = self._next_line = self._next_look = self._clock()
        self._tally = Tally(self._study)
        self._found = self._summary()
        if self._console.is_terminal and not self._console.is_dumb_terminal:
            self._live = Live(
                get_renderable=self._panel,
                console=self._console,
                refresh_per_second=REFRESHES_PER_SECOND,
                transient=True,
            )
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()
        took = f"{self._done} trials in {duration(self._elapsed())}:"
        self._print(one_line([took, self._counts()]))

    def update(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Show a trial that has just finished; an Optuna callback."""
        with self._lock:
            record = self._tally.add(trial)
            self._done += 1
            if self._live is None:
                self._print(self._line(record))
            else:
                self._found = []  # drawn anew at the next refresh

    def epoch(self, trial_number: int | None, epoch: int, metrics: Mapping[str, float]) -> None:
        """Show how far the running trial, or the supernet of all trials, is.

        A terminal shows it at its next refresh; elsewhere a supernet has a line now and then.
        """
        values = [f"{name} {quantity(float(value))}" for name, value in metrics.items()]
        what = "supernet" if trial_number is None else f"trial {trial_number}"
        line = one_line([what, f"epoch {epoch}", *values])
        self._current = Text(line)
        if self._live is not None and self._clock() >= self._next_look:
            self._workers = lease.workers(self._study)
            self._next_look = self._clock() + SECONDS_PER_LOOK
        if self._live is None and trial_number is None and self._clock() >= self._next_line:
            self._print(line)
            self._next_line = self._clock() + SECONDS_PER_LINE

    def _line(self, record: Record) -> str:
        known = known_values(record, list(self._units))
        values = [
            f"{name} {quantity(value)} {unit_of(record, name, self._units[name])}"
            for name, value in known.items()
        ]
        return one_line(
            [
                f"trial {record.number} {record.outcome}",
                ", ".join(values).replace(" ,", ","),
                f"({record.ended})" if record.ended else "",
                self._progress(),
            ]
        )

    def _progress(self) -> str:
        total = "" if self._trials is None else f"/{self._trials}"
        left = self._left()
        return f"{self._done}{total} done" + ("" if left is None else f", {duration(left)} left")

    def _end(self) -> str:
        left = self._left()
        if left is None:
            return ""
        now = datetime.now()
        end = now + timedelta(seconds=left)
        return f"ends about {end:%H:%M}" + (f" on {end:%a %d %b}" * (end.date() != now.date()))

    def _elapsed(self) -> float:
        return self._clock() - self._started

    def _left(self) -> float | None:
        """Seconds to the end of the run: by the pace of its trials, or its timeout, if sooner."""
        ends = []
        if self._trials is not None and self._done:
            ends.append(self._elapsed() / self._done * (self._trials - self._done))
        if self._timeout is not None:
            ends.append(self._timeout - self._elapsed())
        return max(0.0, min(ends)) if ends else None

    def _share(self) -> tuple[float, float]:
        if self._trials is not None:
            return self._done, max(1, self._trials)
        return self._elapsed(), self._timeout or float("inf")

    def _counts(self) -> str:
        counts = self._tally.counts
        usual = COUNTED_INHERITED if counts["scored"] else COUNTED
        others = [name for name in counts if name not in usual]
        return " · ".join(
            f"{counts[name]} {name}" + self._part(name) for name in (*usual, *sorted(others))
        )

    def _part(self, outcome: str) -> str:
        count, total = self._tally.counts[outcome], sum(self._tally.counts.values())
        return f" ({percent(count / total)})" if count and outcome in SHARES else ""

    def _pace(self) -> str:
        """How fast it goes, and who works on it."""
        parts, elapsed = [], self._elapsed()
        if self._done and elapsed:
            parts += [f"{quantity(round(60 * self._done / elapsed, 1))} trials a minute"]
        if self._workers:
            parts += [f"{self._workers} worker{'s' * (self._workers != 1)}"]
        return " · ".join([*parts, f"{self._tally.epochs:,} epochs"])

    def _print(self, line: str) -> None:
        self._console.print(line, soft_wrap=True, markup=False, highlight=False, emoji=False)

    def _panel(self) -> RenderableType:
        with self._lock:
            self._found = self._found or self._summary()
            counts, front, *found = self._found
        return Panel(
            Group(self._bar(), counts, Text(self._pace()), front, self._current, *found),
            title=Text(self._study.study_name, style="bold"),
            title_align="left",
            border_style="dim",
        )

    def _bar(self) -> RenderableType:
        completed, total = self._share()
        grid = Table.grid(padding=(0, 2), expand=True)
        grid.add_column(ratio=1)
        grid.add_column(no_wrap=True)
        bar = ProgressBar(total=total, completed=min(completed, total))
        parts = [self._progress(), self._end(), f"{duration(self._elapsed())} elapsed"]
        times = Text(", ".join(filter(None, parts)), style="bold")
        grid.add_row(bar if total < float("inf") else "", times)
        return grid

    def _summary(self) -> list[RenderableType]:
        """Everything that changes only when a trial ends."""
        found = self._tally.front()
        networks = f"{len(found)} network{'s' * (len(found) != 1)} on the front"
        numbers = f"{networks} · hypervolume {quantity(self._tally.hypervolume())}"
        room = self._console.height - OTHER_LINES
        least, most = PLOT_LINES
        plot = min(most, max(least, room - ROWS))
        rows = max(1, min(ROWS, room - plot if room > plot else room))
        table = networks_table(found[:rows], self._study, one_line_each=True)
        more = len(found) - rows
        rest = [Text(f"and {more} more", style="dim")] if more > 0 else []
        return [
            Text(self._counts()),
            Text(numbers),
            table,
            *rest,
            *self._plot(found, min(plot, room - 1)),
        ]

    def _plot(self, found: Sequence[Record], height: int) -> list[RenderableType]:
        """The front as a small plot, where there is room for one."""
        points = [p for p in map(point, found) if all(map(math.isfinite, p))]
        if height < PLOT_LINES[0] or not points:
            return []
        titles = [heading(name, unit) for name, unit in self._units.items()]
        first, second, *_ = (*titles, "trial")
        width = min(76, self._console.width - 6)
        return [scatter(self._tally.points, points, (second, first), width, height)]
