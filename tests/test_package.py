"""The package as a whole: imports are cheap and only point up the list of stages."""

import ast
import functools
import importlib
import inspect
import subprocess
import sys
from pathlib import Path
from types import FunctionType

import pytest

import optuna_nas as nas

PACKAGE = Path(nas.__file__).parent
STAGES = (
    "exceptions",
    "names",
    "locks",
    "processes",
    "folding",
    "isomorphism",
    "architecture",
    "pareto",
    "blocks",
    "spaces",
    "model",
    "datasets",
    "backends",
    "measuring",
    "objectives",
    "predictors",
    "pruners",
    "samplers",
    "study",
    "supernet",
    "reporting",
    "finalists",
    "bench",
    "testing",
    "cli",
    "__main__",
)
# The package's own namespace shows every stage, and belongs to none.
MODULES = sorted(set(PACKAGE.rglob("*.py")) - {PACKAGE / "__init__.py"})


def stage(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("code", ["import optuna_nas", "import optuna_nas.cli"])
def test_importing_loads_neither_torch_nor_plotly(code: str) -> None:
    check = f"{code}, sys; print({{'torch', 'plotly', 'lightning'}} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True)
    assert result.stdout.strip() == "set()", result.stderr


def test_all_is_what_is_there() -> None:
    assert sorted(nas.__all__) == list(nas.__all__)
    for name in nas.__all__:
        assert getattr(nas, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        getattr(nas, "non" + "sense")


def test_nas_report_is_the_function() -> None:
    assert callable(nas.report)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_only_point_up_the_list_of_stages(path: Path) -> None:
    own = STAGES.index(stage(path))
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            if name.startswith("optuna_nas."):
                other = name.split(".")[1]
                if other in STAGES:
                    assert STAGES.index(other) <= own, f"{stage(path)} imports {name}"


def test_architectures_need_neither_torch_nor_optuna() -> None:
    tree = ast.parse((PACKAGE / "architecture.py").read_text())
    roots = {
        alias.name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    assert not roots & {"torch", "optuna"}


def test_only_spaces_ask_a_trial() -> None:
    for path in MODULES:
        asked = {
            node.func.attr
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        }
        if stage(path) not in ("spaces", "bench"):
            assert not {name for name in asked if name.startswith("suggest_")}, path


def test_every_public_method_says_what_it_does_or_inherits_it() -> None:
    """Laws of the conformance classes say it by their names."""
    silent = []
    for path in MODULES:
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        if parts[-1] == "__main__" or "peers" in parts:  # the one runs, the others import peers
            continue
        module = importlib.import_module(".".join(parts).removesuffix(".__init__"))
        for name, value in vars(module).items():
            own = inspect.isclass(value) and value.__module__ == module.__name__
            if own and not name.startswith("_"):
                public = [key for key in vars(value) if not key.startswith(("_", "test_"))]
                silent += [f"{module.__name__}.{name}.{key}" for key in public if mute(value, key)]
    assert not silent


def mute(cls: type, name: str) -> bool:
    """Whether a method or property has no docstring, and inherits none."""
    attribute = inspect.getattr_static(cls, name)
    kinds = (property, classmethod, staticmethod, functools.cached_property, FunctionType)
    if not isinstance(attribute, kinds) or name in inspect.get_annotations(cls):  # a default
        return False
    return not inspect.getdoc(getattr(cls, name))
