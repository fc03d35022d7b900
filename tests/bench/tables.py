"""Small tables of the tests' own, in each schema."""

import csv
import gzip
import itertools
import json

import numpy as np

NAMES = ["none", "skip_connect", "nor_conv_3x3"]
EDGES = [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]


def nasbench201():
    ops = np.array(list(itertools.product(range(3), repeat=6)), dtype=np.int8)
    convolutions = (ops == 2).sum(axis=1)
    noise = np.random.default_rng(0).normal(0, 0.5, len(ops))
    accuracy = 92 - 40 * np.exp(-convolutions) + noise
    return {
        "ops": ops,
        "op_names": np.array(NAMES),
        "edges": np.array(EDGES, dtype=np.int8),
        "acc12_valid": accuracy - 10,
        "acc200_valid_seeds": np.stack([accuracy, np.full(len(ops), np.nan)], axis=1),
        "latency_ms": 1.0 + convolutions[:, None] * np.array([1.0, 2.0]),
        "devices": np.array(["slow", "fast"]),
        "iso_rep": np.arange(len(ops)),
        "params_m": 0.1 * convolutions,
    }


def curves(rows=(5, 700, 30, 81, 364)):
    epochs = np.arange(1, 82)
    accuracy = nasbench201()["acc200_valid_seeds"][list(rows), :1] * (1 - 0.9 / epochs)
    return {"arch_index": np.array(rows), "valid_acc": accuracy}


def general():
    """Networks of one or two layers, of which only the second has an activation of its own."""
    rows = [(1, width, "") for width in (8, 16, 32)]
    rows += [(2, width, act) for width in (8, 16) for act in ("relu", "silu")]
    layers, width, act = (np.array(column) for column in zip(*rows, strict=True))
    capacity = layers * width
    error = 50 / np.sqrt(capacity)
    return {
        "parameter.layers": layers,
        "parameter.width": width,
        "parameter.activation": act,
        "steps": np.array([1, 3, 9]),
        "error": np.stack([error + 9, error + 3, error + (act == "silu")], axis=1),
        "cost": np.stack([capacity, 2 * capacity], axis=1) / 10,
        "devices": np.array(["cpu", "gpu"]),
        "resumes": np.array(True),
        "capacity": capacity,
    }


def translation(rows=40):
    grid = itertools.product([1, 2], [2, 4], [256, 512], [1024, 2048], [8.0, 16.0], [0.1, 0.2])
    columns = np.array(list(itertools.islice(grid, rows))).T
    names = ("bpe", "num_layers", "embed", "ff", "heads", "lr")
    lengths = 9 + np.arange(rows) % 9
    curve = 20 / np.arange(1, 18) + columns[1][:, None] + 0.01 * np.arange(rows)[:, None]
    curve[:, 8] += 5  # rises once: the least counts
    curve[np.arange(17) >= lengths[:, None]] = np.nan
    return {
        **dict(zip(names, columns, strict=True)),
        "pair": np.array(["aa-bb"] * (rows - 2) + ["cc-dd"] * 2),
        "task": np.array(["scratch"] * rows),
        "ppl_curve": curve,
        "dev_bleu": np.r_[np.linspace(5, 20, rows - 3), np.nan, 7, 8],
        "dev_gpu_time": 100 + 10 * columns[1] * columns[2] / 256,
        "num_param": columns[2] * columns[3],
    }


def ec_nas(path, change=None):
    """Write cells in EC-NAS's form: chains, some with a wire from input to output."""
    cells = [(n, ops, wire) for n in (2, 3, 4) for ops in _operators(n) for wire in {n > 2, 0}]
    lines = [_line(k, cell, epochs) for k, cell in enumerate(cells) for epochs in (0, 2, 4)]
    lines = [*lines, lines[0] | {"space": "other"}] if change is None else change(lines)
    with gzip.open(path, "wt", newline="") as file:
        table = csv.DictWriter(file, list(lines[0]))
        table.writeheader()
        table.writerows(lines)
    return len(cells)


def _operators(vertices):
    return itertools.product(range(3), repeat=vertices - 2)


def _line(number, cell, epochs):
    vertices, ops, wire = cell
    adjacency = np.eye(vertices, k=1, dtype=int)
    adjacency[0, -1] |= int(wire)
    work = 1 + sum(ops) + 0.1 * number
    return {
        "space": "5V9E",
        "hash": f"{number:x}",
        "adjacency": json.dumps(adjacency.tolist()),
        "ops": json.dumps([-1, *ops, -2]),
        "epochs": float(epochs),
        "valid_acc": 0.1 + 0.02 * epochs * work**0.5,
        "predict_time_s": work + 0.01 * epochs,
        "energy_kwh": 0.01 + 0.001 * epochs * work,
        "params": int(1000 * work),
    }
