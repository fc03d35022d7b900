"""The hidden command `optuna-nas reference`: every command and every part, as Markdown."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import click

from optuna_nas.cli.group import main
from optuna_nas.cli.parts import known, summary

__all__ = ["reference"]

HEAD = """# Reference

Written by `optuna-nas reference` from the help of the commands and the docstrings of the parts.
Not to be edited: a test compares. All about a class: `help(optuna_nas.spaces.CNN)`.
"""
WIDTH = 100


@main.command(hidden=True)
def reference() -> None:
    """Print the reference of the command line and of all parts, as Markdown.

    \b
    optuna-nas reference > examples/guides/reference.md
    """
    click.echo("\n".join([HEAD, *_commands(), *_parts()]).rstrip())


def _commands() -> Iterator[str]:
    yield "## Command line\n"
    settings = {"terminal_width": WIDTH, **main.context_settings}
    for context in _walk(click.Context(main, info_name="optuna-nas", **settings)):
        yield f"### `{context.command_path}`\n\n```text\n{context.get_help().rstrip()}\n```\n"


def _walk(context: click.Context) -> Iterator[click.Context]:
    """Every command that is shown, below the ones that call it."""
    yield context
    if isinstance(context.command, click.Group):
        for name, below in sorted(context.command.commands.items()):
            if not below.hidden:
                yield from _walk(click.Context(below, parent=context, info_name=name))


def _parts() -> Iterator[str]:
    for kind, parts in known().items():
        yield f"## {kind.capitalize()}\n"
        if kind == "objectives":
            made = {name: make() for name, make in sorted(parts.items())}
            yield from _table(
                ("name", "class", "unit", "better", "stage", "what it is"),
                (
                    (f"`{name}`", f"`{type(o).__name__}`", o.unit, _better(o), o.stage, summary(o))
                    for name, o in made.items()
                ),
            )
        else:
            yield from _table(
                ("name", "class", "what it is", "source"),
                (_described(name, part) for name, part in sorted(parts.items())),
            )
        yield ""


def _better(objective: Any) -> str:
    return "less" if objective.direction == "minimize" else "more"


def _described(name: str, part: Any) -> tuple[str, ...]:
    return f"`{name}`", f"`{part.__name__}{_arguments(part)}`", summary(part), _source(part)


def _arguments(part: Any) -> str:
    """Arguments that a class of ours is made with, by name."""
    if part.__module__.startswith("optuna."):
        return ""
    taken = inspect.signature(part).parameters.values()
    starred: dict[Any, str] = {
        inspect.Parameter.VAR_POSITIONAL: "*",
        inspect.Parameter.VAR_KEYWORD: "**",
    }
    names = [starred.get(p.kind, "") + p.name for p in taken if p.name != "shape"]
    return f"({', '.join(names)})" if names else ""


def _source(part: Any) -> str:
    """The papers that a class or its module names; of Optuna's own parts, that they are."""
    if part.__module__.startswith("optuna."):
        return "Optuna"
    for text in (inspect.getdoc(part), sys.modules[part.__module__].__doc__):
        if found := re.search(r"^Source: (.+?)(?=\n\n|\Z)", text or "", re.DOTALL | re.MULTILINE):
            return " ".join(found[1].split())
    return ""


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |\n|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
