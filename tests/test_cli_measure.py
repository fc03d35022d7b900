"""`optuna-nas measure`, `remeasure` and `run --remeasure`, as a user meets them."""

import json
import re
from pathlib import Path

import optuna
import pytest
from click.testing import CliRunner, Result

from optuna_nas.cli import main

NETWORKS = """
import torch

class Net(torch.nn.Sequential):
    def __init__(self, width=4):
        super().__init__(torch.nn.Flatten(), torch.nn.Linear(12, width), torch.nn.Linear(width, 3))

class Zoo:
    tiny = Net(1)

def make():
    return Net(8)

def needs(width):
    return Net(width)

nothing = 3
"""
STUDY = """
import numpy as np
import optuna_nas as nas

x = np.random.default_rng(0).normal(size=(60, 6)).astype("float32")
search = nas.Search(
    name="tiny",
    space=nas.spaces.MLP(layers=(1, 2), widths=(4, 8, 16)),
    data=nas.datasets.ArrayDataModule(x, (x[:, 0] > 0).astype("int64"), batch_size=32),
    objectives=["accuracy", nas.objectives.PeakMemory()],
    constraints=[nas.objectives.Parameters(max=400)],
    fidelity=nas.Budget(1),
    samples=20,
    trials=4,
)
"""


@pytest.fixture
def networks(tmp_path: Path) -> Path:
    path = tmp_path / "my_networks.py"
    path.write_text(NETWORKS)
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.py"
    path.write_text(STUDY)
    return path


def call(*args: object) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args])


def counted(*args: object) -> dict[str, float]:
    result = call("measure", *args, "--objective", "parameters", "--objective", "flops", "--json")
    assert result.exit_code == 0, result.output
    return {m["name"]: m["value"] for m in json.loads(result.stdout)["measurements"]}


@pytest.mark.parametrize(("factory", "width"), [("Net", 4), ("make", 8), ("Zoo.tiny", 1)], ids=str)
def test_a_class_a_function_and_a_network_are_measured(
    networks: Path, factory: str, width: int
) -> None:
    exact = {"parameters": 13 * width + 3 * width + 3, "flops": 2 * (12 * width + 3 * width)}
    assert counted(f"{networks}:{factory}", "--input", "1,3,2,2") == exact
    assert counted(f"{networks.with_suffix('')}:{factory}", "--input", "5,12") == exact


def test_modules_are_found_by_their_dotted_name(networks: Path, monkeypatch) -> None:
    monkeypatch.chdir(networks.parent)
    assert counted("my_networks:Net", "--input", "1,12")["parameters"] == 67


def test_latency_is_measured_or_refused_with_the_reason(networks: Path) -> None:
    result = call("measure", f"{networks}:Net", "--input", "2,12", "--json")
    found = json.loads(result.stdout)
    assert found["input"] == [2, 12] and found["device"]["processor"]
    assert [m["name"] for m in found["measurements"]] == ["latency", "parameters", "flops"]
    latency = found["measurements"][0]
    assert latency["unit"] == "ms" and latency["backend"] == "eager"
    if result.exit_code:
        assert "refused" in latency["error"]
    else:
        assert latency["value"] > 0 and latency["spread"] >= 0 and latency["p10"] > 0
        assert (latency["batch"], latency["threads"], latency["precision"]) == (2, 1, "fp32")
        assert latency["runs"] > 0


def test_options_go_to_the_objectives_that_have_them(networks: Path) -> None:
    options = ("--objective", "peak_memory", "--objective", "parameters", "--threads", "2")
    found = call("measure", f"{networks}:Net", "--input", "7,12", *options, "--json")
    assert found.exit_code == 0, found.output
    memory, parameters = json.loads(found.stdout)["measurements"]
    assert memory["batch"] == 7 and memory["value"] > 0
    assert parameters["value"] == 67


def test_the_table_says_how(networks: Path) -> None:
    options = ("--objective", "peak_memory", "--objective", "parameters")
    shown = call("measure", f"{networks}:Net", "--input", "3,12", *options).stdout
    assert "peak_memory (B)" in shown and "batch 3" in shown and "67" in shown


@pytest.mark.parametrize(
    ("network", "options", "message"),
    [
        ("gone.py:Net", "", "gone.py does not exist"),
        ("no.such.module:Net", "", "neither a file nor a module.*No module named 'no'"),
        ("{file}", "", "expected PATH:FACTORY"),
        ("{file}:Gone", "", "has no 'Gone'"),
        ("{file}:needs", "", r"needs\(\) cannot be called without arguments.*width"),
        ("{file}:nothing", "", "expected nothing to give a torch.nn.Module, got int"),
        ("{file}:Net", "--input 1,x", "expected whole numbers such as 1,3,224,224.*'1,x'"),
        ("{file}:Net", "--input 12", "the batch first"),
        ("{file}:Net", "--input 0,12", "the batch first"),
        ("{file}:Net", "--input 1,5", r"does not take inputs of shape \(1, 5\)"),
        ("{file}:Net", "--objective latancy", "did you mean 'latency'"),
        ("{file}:Net", "--objective accuracy", "untrained network, got 'accuracy'"),
        ("{file}:Net", "--backend eagre", "did you mean 'eager'"),
        ("{file}:Net", "--precision fp23", "did you mean 'fp32'"),
        ("{file}:Net", "--device cuda:99", "cannot be measured here.*cuda:99"),
    ],
)
def test_bad_input_is_one_readable_error(
    networks: Path, network: str, options: str, message: str
) -> None:
    given = options.split() if "--input" in options else ["--input", "1,12", *options.split()]
    result = call("measure", network.format(file=networks), *given)
    assert result.exit_code == 2
    assert re.search(message, " ".join(result.stderr.split())), result.stderr
    assert "Traceback" not in result.output


def test_a_network_that_cannot_be_imported_is_one_readable_error(networks: Path) -> None:
    networks.write_text("import nonsense_module")
    result = call("measure", f"{networks}:Net", "--input", "1,12")
    assert result.exit_code == 2 and "nonsense_module" in result.stderr


def test_a_new_study_begins_with_its_feasibility_and_a_resumed_one_does_not(file: Path) -> None:
    first = call("run", file, "--json")
    assert first.exit_code == 0, first.output
    assert "Feasibility" in first.stderr and "parameters" in first.stderr
    assert "Feasibility" not in first.stdout
    assert {"tied_with", "backend"} <= set(json.loads(first.stdout)[0])
    assert "What the space allows" in file.with_name("tiny.html").read_text()
    assert "Feasibility" not in call("run", file, "--trials", "1").stderr


def test_a_cap_that_nothing_keeps_ends_with_2_before_anything_is_trained(file: Path) -> None:
    file.write_text(STUDY.replace("max=400", "max=4"))
    result = call("run", file)
    assert result.exit_code == 2
    assert "parameters at most 4" in result.stderr and "nearest" in result.stderr
    url = f"sqlite:///{file.with_name('tiny.db')}"
    assert optuna.load_study(study_name="tiny", storage=url).trials == []


def test_the_front_is_measured_again_and_the_report_says_so(file: Path) -> None:
    assert call("run", file).exit_code == 0
    found = call("remeasure", file, "--rounds", "2", "--json")
    assert found.exit_code == 0, found.output
    (memory,) = json.loads(found.stdout)["objectives"]
    assert memory["name"] == "peak_memory" and memory["swapped"] == []
    assert all(m["before"] == m["after"] for m in memory["members"])
    shown = call("remeasure", file, "--rounds", "1").stdout
    assert "peak_memory (B, eager)" in shown and "+0.0 %" in shown
    call("report", file)
    assert "measured again" in file.with_name("tiny.html").read_text()


def test_a_study_of_another_device_goes_on_when_told_to_measure_anew(file: Path) -> None:
    call("run", file)
    url = f"sqlite:///{file.with_name('tiny.db')}"
    optuna.load_study(study_name="tiny", storage=url).set_user_attr("device", {"cores": 1})
    for command in ("run", "remeasure"):
        refused = call(command, file)
        assert refused.exit_code == 2 and "--remeasure" in refused.stderr
    gone_on = call("run", file, "--remeasure", "--trials", "0")
    assert gone_on.exit_code == 0, gone_on.output
    assert len(optuna.get_all_study_names(url)) == 2
    assert call("run", file, "--trials", "1").exit_code == 0
