"""What commands about a space share: SPACE is the name of a ready-made one, or a STUDY.py."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from optuna_nas.cli.files import load_search
from optuna_nas.exceptions import DescriptionError

if TYPE_CHECKING:
    from optuna_nas.study import Search

__all__ = ["INPUT", "OUTPUTS", "SPACE", "Subject", "subject"]

CLASSES = 10
"""Outputs of a network where nothing says how many."""


def _shape(context: click.Context, option: click.Parameter, text: str | None) -> Any:
    if text is None:
        return None
    try:
        shape = tuple(int(number) for number in text.split(","))
    except ValueError:
        shape = ()
    if not shape or min(shape) < 1:
        raise click.BadParameter(
            f"expected whole numbers such as 3,32,32, without the batch, got {text!r}"
        )
    return shape


SPACE = click.argument("space", metavar="SPACE")
INPUT = click.option(
    "--input",
    "input_shape",
    metavar="C,H,W",
    callback=_shape,
    help="Shape of one sample, without the batch.",
)
OUTPUTS = click.option(
    "--outputs", metavar="N", type=click.IntRange(1), help=f"Classes; by default {CLASSES}."
)


class Subject(NamedTuple):
    """A space, and what its networks take and return.

    Args:
        space: The space.
        input_shape: Shape of one sample.
        outputs: Values per sample that a network returns.
        search: The search of the study file, where there is one.
    """

    space: Any
    input_shape: tuple[int, ...]
    outputs: int
    search: Search | None = None


def subject(name: str, input_shape: tuple[int, ...] | None, outputs: int | None) -> Subject:
    """What SPACE, --input and --outputs mean.

    Raises:
        DescriptionError: No such space, or data that does not say how many outputs there are.
        click.UsageError: The space takes any input, and --input says none.
    """
    from optuna_nas.names import choose
    from optuna_nas.spaces import SPACES

    if name.endswith(".py"):
        return _of_study(Path(name), input_shape, outputs)
    kind = choose("STUDY.py or a space", name, SPACES)
    space = kind()
    if input_shape and hasattr(space, "input_shape"):
        space = kind(input_shape=input_shape)
    shape = input_shape or getattr(space, "input_shape", None)
    if shape is None:
        raise click.UsageError(f"the space {name} takes any input; say its shape with --input")
    return Subject(space, tuple(shape), outputs or CLASSES)


def _of_study(file: Path, input_shape: tuple[int, ...] | None, outputs: int | None) -> Subject:
    search = load_search(file, smoke=False)
    count = outputs or search.outputs
    if count is None:
        raise DescriptionError(
            f"expected the data of {file} to say how many outputs a network needs; give --outputs"
        )
    return Subject(search.space, input_shape or search.input_shape, count, search)
