"""The README's examples and the files in examples/, run as written."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import lightning
import optuna
import pytest
import torch
from click.testing import CliRunner
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset

from optuna_nas.cli import main
from optuna_nas.model import build
from optuna_nas.spaces.draws import random_trials

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
COMMANDS = re.findall(r"^(optuna-nas [^#\n]*?)(?:\s+#.*)?$", README, re.MULTILINE)

pytestmark = [
    pytest.mark.usefixtures("unrefused"),
    pytest.mark.filterwarnings(
        "ignore:.*does not have many workers.*",
        "ignore:.*smaller than the logging interval.*",
        "ignore:.*Checkpoint directory.*exists and is not empty.*",
    ),
]


class MyModule(lightning.LightningModule):
    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def training_step(self, batch, batch_idx):
        return torch.nn.functional.cross_entropy(self.network(batch[0]), batch[1])

    def validation_step(self, batch, batch_idx):
        self.log("val_accuracy", (self.network(batch[0]).argmax(1) == batch[1]).float().mean())

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=3e-3)


class MyData(lightning.LightningDataModule):
    """A user's module that knows nothing of optuna_nas."""

    def setup(self, stage: str) -> None:
        x, y = load_digits(return_X_y=True)
        self.arrays = torch.tensor(x / 16, dtype=torch.float32), torch.tensor(y)

    def train_dataloader(self):
        return DataLoader(TensorDataset(*(a[:1400] for a in self.arrays)), 64, shuffle=True)

    def val_dataloader(self):
        return DataLoader(TensorDataset(*(a[1400:] for a in self.arrays)), 256)


def draw_from(space) -> None:
    for trial, _ in zip(random_trials(0), range(20), strict=False):
        network = build(space(trial), (1, 28, 28), 10)
        assert network(torch.zeros(2, 1, 28, 28)).shape == (2, 10)


def test_python_examples_run_as_written(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = {"MyModule": MyModule, "MyData": MyData}
    studies = []
    for number, block in enumerate(BLOCKS):
        file = tmp_path / f"block{number}.py"
        file.write_text(block)
        exec(compile(block, str(file), "exec"), names)
        if "study" in names:
            studies.append(names.pop("study"))
        else:
            draw_from(names.get("Residual", lambda: names["space"])())
    assert [len(study.trials) for study in studies] == [10, 20, 5, 20, 20]
    for study in studies:
        assert isinstance(study, optuna.Study)
        assert study.best_trials
        failed = [t.user_attrs for t in study.trials if t.state == optuna.trial.TrialState.FAIL]
        assert not failed


def test_the_examples_are_short() -> None:
    assert len(BLOCKS[0].strip().splitlines()) <= 25
    spaces = [block for block in BLOCKS if "study" not in block]
    assert len(spaces) == 2
    assert all(len(block.strip().splitlines()) <= 15 for block in spaces)


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_exist_with_the_options_shown(command: str) -> None:
    words = command.split()[1:]
    path, options = words[:1], [word for word in words if word.startswith("--")]
    if isinstance(main.commands[path[0]], click.Group):
        path = words[:2]
    shown = CliRunner().invoke(main, [*path, "--help"])
    assert shown.exit_code == 0
    assert all(option in shown.output for option in options)


def test_readme_shows_the_commands_of_the_makefile() -> None:
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for target in re.findall(r"^make (\w+)", README, re.MULTILINE):
        assert target in targets


@pytest.mark.parametrize("file", sorted((ROOT / "examples").glob("*.py")), ids=lambda f: f.name)
def test_examples_run(file: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        [sys.executable, str(file)], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert '"digest"' in result.stdout or "'digest'" in result.stdout


def reads_files(study: Path) -> bool:
    """Whether a study needs data that does not come with a package."""
    return "OPTUNA_NAS_DATA" in study.read_text()


STUDIES = sorted((ROOT / "studies").glob("*.py"))


@pytest.mark.parametrize(
    "file", [file for file in STUDIES if reads_files(file)], ids=lambda f: f.name
)
def test_a_study_without_its_data_says_what_it_needs(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPTUNA_NAS_DATA", raising=False)
    result = CliRunner().invoke(main, ["run", str(file), "--smoke"])
    assert result.exit_code == 2
    assert "OPTUNA_NAS_DATA" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("file", STUDIES, ids=lambda f: f.name)
def test_every_study_runs_in_its_smoke_form(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    if reads_files(file):
        folder = request.getfixturevalue("data_folder")
        monkeypatch.setenv("OPTUNA_NAS_DATA", str(folder))
    for study in STUDIES:  # some begin with another
        (tmp_path / study.name).write_text(study.read_text())
    copy = tmp_path / file.name
    assert CliRunner().invoke(main, ["run", str(copy), "--smoke"]).exit_code == 0
    front = CliRunner().invoke(main, ["front", str(copy), "--smoke", "--json"])
    fewest = 3 if file.stem == "digits_cnn" else 1  # what the demo promises
    assert len({network["digest"] for network in json.loads(front.stdout)}) >= fewest
    written = {p.suffix.split("-")[0] for p in tmp_path.glob(f"{file.stem}-smoke.*")}
    kept = {".checkpoints"} if "OneShot" in file.read_text() else set()
    assert written == {".db", ".html"} | kept
