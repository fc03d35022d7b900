from __future__ import annotations

from optuna_nas.reporting.scatter import FRONT, TRIED, Axis, scatter


def test_the_front_is_marked_from_corner_to_corner() -> None:
    front = [(1.0, 0.2), (2.0, 0.6), (3.0, 0.9)]
    lines = scatter([*front, (2.5, 0.5)], front, ("latency (ms)", "accuracy"), 40, 10)
    text = lines.plain.splitlines()
    assert text[0] == "accuracy" and len(text) == 10
    assert "latency (ms)" in text[-1] and "0.96" in text[-1] and "3.04" in text[-1]
    assert lines.plain.count(FRONT) == 3 and lines.plain.count(TRIED) == 1
    assert text[1].endswith(FRONT) or FRONT in text[1]
    assert text[7].index(FRONT) < text[1].index(FRONT)
    assert {len(line) for line in text[1:-2]} == {40}


def test_what_is_far_from_the_front_is_not_shown() -> None:
    front = [(1.0, 0.2), (3.0, 0.9)]
    assert scatter([(900.0, 0.5)], front, ("x", "y"), 40, 10).plain.count(TRIED) == 0


def test_one_point_or_none_is_no_error() -> None:
    assert scatter([], [(1.0, 1.0)], ("x", "y"), 40, 8).plain.count(FRONT) == 1
    assert scatter([], [(0.0, 0.0)], ("x", "y"), 40, 8).plain.count(FRONT) == 1
    assert scatter([], [], ("x", "y"), 40, 8).plain == ""


def test_an_axis_of_more_than_ten_times_is_logarithmic() -> None:
    axis = Axis.around("x", [1.0, 10.0, 100.0])
    assert axis.log and [axis.cell(v, 21) for v in (0.0, 1.0, 10.0, 100.0)] == [-1, 0, 10, 20]
    assert not Axis.around("x", [-1.0, 100.0]).log
