"""Trained finalist -> a folder that says all there is to know of it, and rebuilds it.

Source: model cards, Mitchell et al. 2019, arXiv:1810.03993.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jinja2 import Environment, PackageLoader, StrictUndefined

from optuna_nas.finalists.evaluation import candidate, weights_of
from optuna_nas.finalists.forms import Form
from optuna_nas.finalists.retrained import Retrained
from optuna_nas.finalists.sealed import Values
from optuna_nas.objectives import Candidate
from optuna_nas.study.training import seeded_setup

__all__ = ["CARD", "register"]

CARD = "card.json"
SAMPLE = 64
"""Validation inputs that are kept with a network, to see whether it was rebuilt as it was."""


def register(
    retrained: Retrained,
    seed: int,
    folder: Path,
    forms: Sequence[Form],
    tested: Values,
    cost: Mapping[str, Any],
) -> None:
    """Write weights, architecture, model card, a sample, and the script that rebuilds it all.

    A network without an architecture, which its space made as a module or which was pruned, is
    rebuilt from its exported program.

    Args:
        retrained: The finalist.
        seed: Seed of the training whose weights are kept.
        folder: Where to.
        forms: What it was exported as.
        tested: Its values on the test split, by seed.
        cost: What the search cost, as the card says it.
    """
    attrs = retrained.study.get_trials(deepcopy=False)[retrained.trained[seed].number].user_attrs
    found = candidate(retrained, seed)
    folder.mkdir(parents=True, exist_ok=True)
    architecture = attrs.get("architecture")
    if architecture is not None:
        _text(folder / "architecture.json", json.dumps(architecture, indent=2))
    shutil.copyfile(weights_of(retrained, seed), folder / "weights.safetensors")
    search = retrained.search
    with seeded_setup(search.data, search.seed):  # splits are those of every training
        sample, data = _sample(found), _data(found)
    np.savez_compressed(folder / "sample.npz", **sample)
    card = {
        **_identity(retrained, attrs, seed),
        "input_shape": list(found.input_shape),
        "outputs": found.outputs,
        "data": data,
        "recipe": search.description["module"],
        "budget": search.description["fidelity"],
        "measurements": {str(s): r.measurements for s, r in retrained.trained.items()},
        "test": {str(s): dict(values) for s, values in tested.items()},
        "forms": [form.as_json() for form in forms],
        **_rebuilding(retrained, architecture is not None, forms),
        "search": dict(cost),
        "provenance": attrs["provenance"],
    }
    _text(folder / CARD, json.dumps(card, indent=2))
    templates = Environment(
        loader=PackageLoader("optuna_nas.finalists"), undefined=StrictUndefined, autoescape=False
    )
    templates.trim_blocks = templates.lstrip_blocks = True
    judged = list(dict.fromkeys(name for form in forms for name in form.values))
    for name in ("card.md", *(["rebuild.py"] if card["rebuilt_from"] else [])):
        _text(
            folder / name, templates.get_template(f"{name}.jinja").render(card=card, judged=judged)
        )


def _rebuilding(retrained: Retrained, graph: bool, forms: Sequence[Form]) -> dict[str, Any]:
    """From which file the network is rebuilt, and why not from an architecture."""
    if graph:
        return {"rebuilt_from": "architecture.json", "no_architecture": ""}
    pruned = retrained.finalist.role == "pruned"
    reason = "its channels were cut after training" if pruned else "its space returned a module"
    file = next((form.file for form in forms if form.name == "pytorch"), None)
    return {"rebuilt_from": file, "no_architecture": reason}


def _identity(retrained: Retrained, attrs: Mapping[str, Any], seed: int) -> dict[str, Any]:
    return {
        "name": retrained.finalist.name,
        "digest": attrs["digest"],
        "training": attrs["training"],
        "network": attrs["network"],
        "seed": seed,
        "seeds": list(retrained.trained),
        "study": retrained.study.study_name,
        "hyperparameters": dict(retrained.finalist.hyperparameters),
        "searched": dict(retrained.finalist.searched),
    }


def _data(found: Candidate) -> dict[str, Any]:
    """Which data it was, and the statistics by which a drift of inputs and scores is seen."""
    data = found.data
    x, outputs = _inputs_and_outputs(found)
    statistics = getattr(data, "target_statistics", None)
    return {
        "class": type(data).__name__,
        "fingerprint": getattr(data, "fingerprint", None),
        "splits": getattr(data, "split_sizes", None),
        "classes": _plain(getattr(data, "classes", None)),
        "targets": None if statistics is None else [_plain(s) for s in statistics],
        "inputs": {"mean": float(x.mean()), "deviation": float(x.std())},
        "scores": {
            "mean": outputs.mean(0).flatten().tolist(),
            "deviation": outputs.std(0).flatten().tolist(),
        },
    }


def _inputs_and_outputs(found: Candidate) -> tuple[torch.Tensor, torch.Tensor]:
    network = found.network.cpu().eval()
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        torch.manual_seed(found.seed)
        seen = [(x.float(), network(x)) for x, _ in found.batches("validation")]
    inputs, outputs = zip(*seen, strict=True)
    return torch.cat(inputs), torch.cat(outputs)


def _sample(found: Candidate) -> dict[str, Any]:
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        torch.manual_seed(found.seed)
        x, y = next(iter(found.batches("validation")))
        outputs = found.network.cpu().eval()(x[:SAMPLE])
    return {"x": x[:SAMPLE].numpy(), "y": y[:SAMPLE].numpy(), "outputs": outputs.numpy()}


def _plain(values: Any) -> Any:
    return None if values is None else np.asarray(values).tolist()


def _text(path: Path, text: str) -> None:
    path.write_text(text.rstrip() + "\n", encoding="utf-8")
