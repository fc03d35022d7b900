"""README, guides, examples and studies: blocks run as written, commands, names and links exist."""

import json
import pkgutil
import re
import runpy
import shlex
import sys
from pathlib import Path

import click
import optuna
import pytest
from click.testing import CliRunner
from optuna.trial import TrialState

from optuna_nas.cli import main

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
PAGES = {str(p.relative_to(ROOT)): p for p in [ROOT / "README.md", *EXAMPLES.glob("guides/*.md")]}
WRITTEN = {name: page for name, page in PAGES.items() if page.name != "reference.md"}
CODE = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)

pytestmark = [
    pytest.mark.usefixtures("unrefused"),
    pytest.mark.filterwarnings(
        "ignore:.*does not have many workers.*",
        "ignore:.*smaller than the logging interval.*",
        "ignore:.*Checkpoint directory.*exists and is not empty.*",
    ),
]


def blocks(page: Path, language: str) -> list[str]:
    return [code for kind, code in CODE.findall(page.read_text()) if kind == language]


def prose(page: Path) -> str:
    return CODE.sub("", page.read_text())


WITH_PYTHON = [name for name, page in WRITTEN.items() if blocks(page, "python")]


@pytest.mark.parametrize("page", sorted(WITH_PYTHON))
def test_python_blocks_run_as_written(page: str, tmp_path: Path, monkeypatch) -> None:
    """In their order, each with what the ones before it have defined."""
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    for number, block in enumerate(blocks(PAGES[page], "python")):
        file = tmp_path / f"block{number}.py"
        file.write_text(block)
        exec(compile(block, str(file), "exec"), names)
        study = names.pop("study", None)
        if isinstance(study, optuna.Study):
            assert study.best_trials
            failed = [t.user_attrs for t in study.trials if t.state.name == "FAIL"]
            assert not failed


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 190
    assert all(
        len(block.strip().splitlines()) <= 25 for block in blocks(ROOT / "README.md", "python")
    )


def commands() -> list[str]:
    """Commands of shell blocks, and those in backquotes."""
    found = []
    for page in WRITTEN.values():
        text = "\n".join(blocks(page, "bash")).replace("\\\n", " ")
        found += re.findall(r"^(optuna-nas [^#\n]*)", text, re.MULTILINE)
        found += re.findall(r"`(optuna-nas [^`]*)`", prose(page))
    return sorted({command.strip() for command in found})


@pytest.mark.parametrize("line", commands())
def test_commands_exist_with_the_options_shown(line: str) -> None:
    command, words = main, shlex.split(line.partition(" > ")[0])[1:]
    while words and isinstance(command, click.Group):
        name = words.pop(0)
        below = [command.commands[part] for part in name.split("|")]  # bench a|b|c
        command = below[0]
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known


def test_every_bench_is_in_the_documentation() -> None:
    listed = re.search(
        r"`optuna-nas bench ([\w|-]+\|[\w|-]+)`", PAGES["examples/guides/measured.md"].read_text()
    )
    assert set(listed[1].split("|")) == set(main.commands["bench"].commands)


@pytest.mark.parametrize("page", sorted(WRITTEN))
def test_names_of_the_package_exist(page: str) -> None:
    for name in re.findall(r"`(?:nas|optuna_nas)((?:\.\w+)+)", prose(PAGES[page])):
        pkgutil.resolve_name(f"optuna_nas{name}")


@pytest.mark.parametrize("page", sorted(PAGES))
def test_links_and_anchors_resolve(page: str) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(PAGES[page])):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (PAGES[page].parent / path).resolve() if path else PAGES[page]
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def anchors(page: Path) -> set[str]:
    """Of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_guide_and_example_is_linked() -> None:
    linked = " ".join(page.read_text() for page in WRITTEN.values())
    files = [*EXAMPLES.glob("guides/*"), *EXAMPLES.glob("*.py")]
    assert [file.name for file in files if f"{file.name})" not in linked] == []


def test_the_reference_is_what_the_command_prints() -> None:
    printed = CliRunner().invoke(main, ["reference"]).stdout
    same = printed == (EXAMPLES / "guides" / "reference.md").read_text()
    assert same, "renew it: optuna-nas reference > examples/guides/reference.md"


def test_readme_shows_the_commands_of_the_makefile() -> None:
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for target in re.findall(r"make (\w+)`?", "\n".join(blocks(ROOT / "README.md", "bash"))):
        assert target in targets


LOOKING = {
    "draw_front": ("first_search.db", "first_search", "front.svg"),
    "reading_a_study": ("first_search.db", "first_search"),
}
"""Arguments of the examples that look at the study of the first one."""


def run_example(file: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", [str(file), *arguments])
    runpy.run_path(str(file), run_name="__main__")


@pytest.mark.long
@pytest.mark.usefixtures("untimed")
@pytest.mark.filterwarnings("default")  # as where they are run by hand
@pytest.mark.parametrize(
    "file",
    [f for f in sorted(EXAMPLES.glob("*.py")) if f.stem not in LOOKING],
    ids=lambda f: f.stem,
)
def test_examples_run_and_are_short(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(file.read_text().splitlines()) <= 40
    monkeypatch.chdir(tmp_path)
    run_example(file, monkeypatch)
    assert re.search("digest|params", capsys.readouterr().out)
    for name, arguments in LOOKING.items() if file.stem == "first_search" else ():
        looking = EXAMPLES / f"{name}.py"
        assert len(looking.read_text().splitlines()) <= 40
        run_example(looking, monkeypatch, *arguments)
        printed = capsys.readouterr().out
        assert re.search("digest|params", printed) or "<svg" in Path(arguments[-1]).read_text()


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
    for study in STUDIES:  # one begins with another, which may be loaded
        monkeypatch.delitem(sys.modules, study.stem, raising=False)
    result = CliRunner().invoke(main, ["run", str(file), "--smoke"])
    assert result.exit_code == 2
    assert "OPTUNA_NAS_DATA" in result.stderr
    assert "Traceback" not in result.stderr


def test_text_that_is_absent_is_an_error_that_says_where_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPTUNA_NAS_DATA", str(tmp_path))
    file = ROOT / "studies" / "shakespeare_transformer.py"
    result = CliRunner().invoke(main, ["run", str(file), "--smoke"])
    assert result.exit_code == 2
    assert "tinyshakespeare" in result.output and "char-rnn" in result.output


@pytest.mark.long
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
    storage = f"sqlite:///{tmp_path / file.stem}-smoke.db"
    for name in optuna.get_all_study_names(storage):
        states = {t.state for t in optuna.load_study(study_name=name, storage=storage).trials}
        assert TrialState.FAIL not in states
    front = CliRunner().invoke(main, ["front", str(copy), "--smoke", "--json"])
    fewest = 3 if file.stem == "digits_cnn" else 1  # what the demo promises
    assert len({network["digest"] for network in json.loads(front.stdout)}) >= fewest
    written = {p.suffix.split("-")[0] for p in tmp_path.glob(f"{file.stem}-smoke.*")}
    kept = {".checkpoints"} if "OneShot" in file.read_text() else set()
    assert written == {".artifacts", ".db", ".html"} | kept
