"""`optuna-nas bench`: this tool beside others, as ratios in one run."""

from __future__ import annotations

import importlib
import json

import click
from rich.console import Console

from optuna_nas.cli.files import JSON
from optuna_nas.cli.group import main


@main.group()
def bench() -> None:
    """Compare this tool with others on this machine, in one run, as ratios."""


def _bench(name: str, text: str) -> None:
    def command(as_json: bool) -> None:
        module = importlib.import_module(f"optuna_nas.bench.{name}")
        result = module.run()
        if as_json:
            click.echo(json.dumps(result, indent=2))
        else:
            Console().print(module.table(result))

    bench.command(name, help=f"{text}\n\n\b\noptuna-nas bench {name} --json")(JSON(command))


_bench("pruner", "Cost of a pruning decision, and what pruning keeps of real learning curves.")
_bench("nsga2", "The conditional NSGA-II against Optuna's on a conditional space.")
_bench("latency", "Guarded latency beside other work, against plain medians.")
_bench("predictors", "Predicted latency on held-back networks, against what was measured.")
_bench("tax", "Time of a Search trial against a bare torch loop for the same steps.")
