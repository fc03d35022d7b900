"""How a supernet ranks networks, as a table for the terminal and as a plot."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import mean
from typing import Any

from rich.table import Table

__all__ = ["figure", "table"]

ROWS = {
    "spearman": "Spearman, inherited loss",
    "kendall": "Kendall, inherited loss",
    "spearman_accuracy": "Spearman, inherited accuracy",
    "spearman_parameters": "Spearman, parameters",
    "spearman_flops": "Spearman, FLOPs",
    "over_parameters": "Spearman over that of parameters",
    "over_flops": "Spearman over that of FLOPs",
}


def table(result: Mapping[str, Any]) -> Table:
    """Show the result of `supernet.run`."""
    shown = Table(title=f"Ranks of {result['subnets']} networks, against their accuracy trained")
    for column in ("", "correlation", "95 % interval"):
        shown.add_column(column, justify="right" if column else "left")
    for key, name in ROWS.items():
        low, high = result["intervals"][key]
        shown.add_row(name, f"{result[key]:.3f}", f"{low:.2f} to {high:.2f}")
    if result["spearman_trainings"] is not None:
        shown.add_row(
            "Spearman, training and training again", f"{result['spearman_trainings']:.3f}", ""
        )
    shown.caption = _caption(result)
    return shown


def figure(result: Mapping[str, Any]) -> Any:
    """The result as a plotly figure: accuracy trained against inherited loss, one point each."""
    import plotly.graph_objects as go

    rows = result["networks"]
    trained = [mean(row["accuracies"]) for row in rows]
    drawn = go.Figure()
    drawn.add_scatter(
        x=[row["inherited_loss"] for row in rows],
        y=trained,
        mode="markers",
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [max(row["accuracies"]) - y for row, y in zip(rows, trained, strict=True)],
            "arrayminus": [
                y - min(row["accuracies"]) for row, y in zip(rows, trained, strict=True)
            ],
        },
        marker={
            "color": [row["parameters"] for row in rows],
            "colorbar": {"title": "parameters"},
            "colorscale": "Viridis",
        },
        text=[row["network"] for row in rows],
        hovertemplate="%{text}<br>inherited loss %{x:.3f}<br>accuracy %{y:.4f}<extra></extra>",
    )
    drawn.update_layout(
        title=f"Spearman {result['spearman']:.2f}, parameters alone "
        f"{result['spearman_parameters']:.2f}, FLOPs alone {result['spearman_flops']:.2f}"
    )
    drawn.update_xaxes(title="validation loss with inherited weights")
    drawn.update_yaxes(title="validation accuracy after training alone")
    return drawn


def _caption(result: Mapping[str, Any]) -> str:
    cost = result["costs"]
    return (
        f"supernet {result['epochs_supernet']} epochs, {result['seconds_supernet']:.0f} s; a "
        f"network {result['epochs_standalone']} epochs, {result['seconds_standalone']:.1f} s, or "
        f"scored in {1e3 * result['seconds_per_subnet']:.0f} ms ({cost['scoring_ratio']:.2f} of "
        f"evaluating it), made in {cost['milliseconds_network']:.1f} ms; memory of "
        f"{cost['memory_ratio']:.2f} largest networks"
    )
