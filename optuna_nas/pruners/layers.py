"""Non-dominated layers of points, kept while points are added: no point is ranked twice.

A point takes its place in a layer; what it dominates there goes down to the next one, and so on.

Source: Li et al. 2017, doi:10.1109/TCYB.2016.2621008; with two objectives, Yakupov and Buzdalov
    2015, doi:10.1109/CEC.2015.7256974.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence

import numpy as np

from optuna_nas.pareto import Losses, rank
from optuna_nas.pruners.ranking import before_first, layers_2d, ranges

__all__ = ["Layers", "Sorted"]

Point = tuple[float, ...]


class Sorted:
    """Points with one loss, which is all there is to compare.

    Args:
        points: Losses (N, 1).
    """

    def __init__(self, points: Losses) -> None:
        self._points = sorted(map(tuple, points.tolist()))

    def add(self, point: Point) -> None:
        """Add a point."""
        insort(self._points, point)

    def has_among_best(self, point: Point, quota: int) -> bool:
        """Whether fewer than `quota` of the points are better than one beside them."""
        return bisect_left(self._points, point) < quota


class Layers:
    """The non-dominated layers of points, equal ones in one.

    Args:
        points: Losses (N, M), two or more, finite.
    """

    def __init__(self, points: Losses) -> None:
        unique, counts = np.unique(points, axis=0, return_counts=True)
        two = points.shape[1] == 2
        self._kind: type[_Stairs | _Front] = _Stairs if two else _Front
        ranks = (layers_2d if two else rank)(unique) if len(unique) else np.empty(0)
        self._count = dict(zip(map(tuple, unique.tolist()), counts.tolist(), strict=True))
        parts = [unique[ranks == place] for place in range(int(ranks.max(initial=-1)) + 1)]
        self._layers = [self._kind([tuple(point) for point in part.tolist()]) for part in parts]
        self._sizes = [self._size(layer.points()) for layer in self._layers]
        self._ranges = ranges(points)

    def add(self, point: Point) -> None:
        """Add a point."""
        self._ranges = np.minimum(self._ranges, ranges(np.array([point])))
        place, count = self._place(point), self._count.get(point, 0)
        self._count[point] = count + 1
        if count:
            self._sizes[place] += 1
            return
        moved: Sequence[Point] = [point]
        while moved and place < len(self._layers):
            dominated = self._layers[place].exchange(moved)
            self._sizes[place] += self._size(moved) - self._size(dominated)
            moved, place = dominated, place + 1
        if moved:
            self._layers.append(self._kind(moved))
            self._sizes.append(self._size(moved))

    def has_among_best(self, point: Point, quota: int) -> bool:
        """Whether fewer than `quota` of the points come before one beside them.

        Points are ordered by layer and, within a layer, by the hypervolume that each adds to it;
        equal points share a place.

        Args:
            point: The point, which is not added.
            quota: How many are among the best.
        """
        place = self._place(point)
        free = quota - sum(self._sizes[:place])
        if free <= 0 or place == len(self._layers):
            return free > 0
        beside = [other for other in self._layers[place].not_dominated(point) if other != point]
        layer = [point] * (self._count.get(point, 0) + 1)
        layer += [other for other in beside for _ in range(self._count[other])]
        if len(layer) <= free:
            return True
        among = np.minimum(self._ranges, ranges(np.array([point])))
        return before_first(np.array(layer), among) < free

    def _place(self, point: Point) -> int:
        """Number of layers with a point that dominates one: the one that it would be in."""
        return bisect_left(self._layers, True, key=lambda layer: not layer.dominates(point))

    def _size(self, points: Sequence[Point]) -> int:
        return sum(map(self._count.__getitem__, points))


class _Stairs:
    """A layer of two objectives: the better by the first, the worse by the second."""

    def __init__(self, points: Sequence[Point]) -> None:
        self._points = list(points)

    def points(self) -> Sequence[Point]:
        """All of them."""
        return self._points

    def dominates(self, point: Point) -> bool:
        """Whether one of them dominates a point."""
        place = bisect_right(self._points, point) - 1
        if place < 0:
            return False
        best = self._points[place]  # by the second, of those no worse by the first
        return best[1] <= point[1] and best != point

    def not_dominated(self, point: Point) -> list[Point]:
        """Those that a point neither dominates nor equals."""
        start, end = self._span([point])
        return self._points[:start] + self._points[end:]

    def exchange(self, points: Sequence[Point]) -> list[Point]:
        """Take in neighbours that none of them dominates, and return those that they dominate."""
        start, end = self._span(points)
        dominated = self._points[start:end]
        self._points[start:end] = points
        return dominated

    def _span(self, points: Sequence[Point]) -> tuple[int, int]:
        start = bisect_left(self._points, points[0])
        end = bisect_right(self._points, -points[-1][1], lo=start, key=lambda point: -point[1])
        return start, end


class _Front:
    """A layer of any number of objectives."""

    def __init__(self, points: Sequence[Point]) -> None:
        self._points: Losses = np.array(points)

    def points(self) -> Sequence[Point]:
        """All of them."""
        return [tuple(point) for point in self._points.tolist()]

    def dominates(self, point: Point) -> bool:
        """Whether one of them dominates a point."""
        no_worse = self._points[(self._points <= point).all(axis=1)]
        return bool((no_worse != np.array(point)).any())

    def not_dominated(self, point: Point) -> list[Point]:
        """Those that a point neither dominates nor equals."""
        worse = (self._points >= point).all(axis=1)
        return [tuple(other) for other in self._points[~worse].tolist()]

    def exchange(self, points: Sequence[Point]) -> list[Point]:
        """Take in points that none of them dominates, and return those that they dominate."""
        new: Losses = np.array(points)
        dominated = np.any(np.all(self._points[:, None] >= new, axis=2), axis=1)
        left = [tuple(point) for point in self._points[dominated].tolist()]
        self._points = np.vstack((self._points[~dominated], new))
        return left
