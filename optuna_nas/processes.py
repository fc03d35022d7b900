"""Processes that run a module of this package."""

from __future__ import annotations

import sys
from pathlib import Path

__all__ = ["command"]

_START = (
    "import runpy, sys; sys.path.append(sys.argv.pop(1)); "
    "runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)"
)


def command(module: str, *arguments: str) -> list[str]:
    """What starts a process that runs a module of this package.

    Unlike `python -m`, it does not look into the working directory, where a file of the user's may
    have the name of one of Python's, or of what an installed package looks for.

    Args:
        module: Its dotted name.
        *arguments: Its arguments.
    """
    home = str(Path(__file__).parents[1])
    return [sys.executable, "-P", "-c", _START, home, module, *arguments]
