"""The front of a study as an SVG for a paper or a README: plain Optuna and matplotlib.

python examples/draw_front.py first_search.db first_search front.svg
"""

import sys

import matplotlib
import optuna
from matplotlib.figure import Figure

GREY, BLUE = "#768390", "#2f81f7"  # both are readable on white and on black
matplotlib.rcParams.update(
    {"text.color": GREY, "axes.labelcolor": GREY, "axes.edgecolor": GREY, "svg.hashsalt": "front"}
    | {"xtick.color": GREY, "ytick.color": GREY, "svg.fonttype": "none"}
)


def draw(study, path):
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.subplots()
    trained = [t for t in study.trials if t.state.name == "COMPLETE"]
    front = sorted(study.best_trials, key=lambda t: t.values[1])
    costs, scores = [t.values[1] for t in front], [t.values[0] for t in front]
    others = [t.values[1] for t in trained], [t.values[0] for t in trained]
    axes.scatter(*others, s=14, c=GREY, label="trained")
    axes.step(costs, scores, where="post", color=BLUE)
    axes.scatter(costs, scores, s=32, c=BLUE, zorder=3, label="Pareto front")
    axes.set(xlabel=study.metric_names[1], ylabel=study.metric_names[0], title=study.study_name)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    figure.savefig(path, transparent=True, metadata={"Date": None})


if __name__ == "__main__":
    database, name, path = sys.argv[1:]
    draw(optuna.load_study(study_name=name, storage=f"sqlite:///{database}"), path)
