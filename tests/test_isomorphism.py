"""One text for isomorphic graphs, another for all others: held against trying every order."""

from __future__ import annotations

from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from optuna_nas.isomorphism import Vertex, _segments, canonical_form

Graph = list[Vertex]


@st.composite
def graphs(draw: st.DrawFn, largest: int = 5) -> Graph:
    """Graphs whose last vertex depends on all, some of whose vertices belong together."""
    vertices: Graph = []
    for number in range(1, draw(st.integers(1, largest)) + 1):
        sources = draw(st.lists(st.integers(0, number - 1), min_size=1, max_size=2))
        group = draw(st.sampled_from([number, *(v.group for v in vertices)]))
        label = draw(st.sampled_from("ab"))
        vertices.append(Vertex(label, tuple(sources), label == "a", group))
    last = len(vertices) + 1
    unread = set(range(1, last)) - {s for v in vertices for s in v.sources}
    return [*vertices, Vertex("end", tuple(unread), False, last)]


def text(graph: Graph, order: tuple[int, ...]) -> tuple[object, ...]:
    """The graph with vertex `order[k]` as vertex k + 1."""
    new = {0: 0} | {old: place for place, old in enumerate(order, start=1)}
    groups = {v.group: [n for n, w in enumerate(graph, 1) if w.group == v.group] for v in graph}
    rows = []
    for old in order:
        label, sources, ordered, group = graph[old - 1]
        read = [new[source] for source in sources]
        members = tuple(sorted(new[n] for n in groups[group]))
        rows.append((label, ordered, tuple(read if ordered else sorted(read)), members))
    return tuple(rows)


def least(graph: Graph) -> tuple[object, ...]:
    return min(text(graph, order) for order in permutations(range(1, len(graph) + 1)))


@given(graphs(), graphs())
def test_texts_are_equal_where_some_order_makes_graphs_equal(one: Graph, other: Graph) -> None:
    assert (canonical_form(one) == canonical_form(other)) == (least(one) == least(other))


@given(graphs(largest=7), st.data())
def test_no_order_changes_the_text(graph: Graph, data: st.DataObject) -> None:
    waiting, order = data.draw(st.permutations(range(1, len(graph) + 1))), list[int]()
    while waiting:
        order += [next(n for n in waiting if set(graph[n - 1].sources) <= {0, *order})]
        waiting = [n for n in waiting if n not in order]
    new = {0: 0} | {old: place for place, old in enumerate(order, start=1)}
    first: dict[int, int] = {}
    moved = [
        Vertex(v.label, tuple(new[s] for s in v.sources), v.ordered, first.setdefault(v.group, n))
        for n, v in enumerate((graph[old - 1] for old in order), start=1)
    ]
    assert canonical_form(moved) == canonical_form(graph)


@given(st.lists(graphs(), min_size=1, max_size=4), st.data())
def test_parts_one_after_another_are_looked_at_each_alone(
    parts: list[Graph], data: st.DataObject
) -> None:
    """A part may take the place of another only if the two are isomorphic."""
    joined = in_a_row(parts)
    assert len(_segments(joined)) >= len(parts)
    place, other = data.draw(st.integers(0, len(parts) - 1)), data.draw(graphs())
    changed = in_a_row([*parts[:place], other, *parts[place + 1 :]])
    same = canonical_form(changed) == canonical_form(joined)
    assert same == (canonical_form(other) == canonical_form(parts[place]))


def in_a_row(parts: list[Graph]) -> Graph:
    joined: Graph = []
    for part in parts:
        start = len(joined)
        joined += [
            Vertex(v.label, tuple(s + start for s in v.sources), v.ordered, v.group + start)
            for v in part
        ]
    return joined


def test_what_belongs_together_is_not_cut_apart() -> None:
    def chain(*groups: int) -> Graph:
        return [Vertex("a", (n,), True, group) for n, group in enumerate(groups)]

    assert [len(segment) for segment in _segments(chain(1, 2, 3, 4))] == [1, 1, 1, 1]
    assert [len(segment) for segment in _segments(chain(1, 2, 2, 4))] == [1, 2, 1]
    assert [len(segment) for segment in _segments(chain(1, 2, 1, 4))] == [3, 1]


def test_vertices_that_only_their_readers_tell_apart() -> None:
    """Two equal paths side by side, joined in one order or in the other."""
    paths = [Vertex("a", (0,), True, 1), Vertex("a", (0,), True, 2)]
    crossed = [
        [*paths, Vertex("b", (1,), True, 3), Vertex("end", sources, True, 4)]
        for sources in ((2, 3), (3, 2), (1, 3))
    ]
    assert len({canonical_form(graph) for graph in crossed}) == 3
    assert canonical_form(crossed[0]) == canonical_form(
        [*paths, Vertex("b", (2,), True, 3), Vertex("end", (1, 3), True, 4)]
    )
