"""The report in a notebook."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import optuna
import plotly.io
import pytest

from optuna_nas.exceptions import StudyError
from optuna_nas.reporting import study_report


@pytest.fixture
def notebook() -> Iterator[None]:
    """Plotly as it is in a notebook."""
    from IPython.core.interactiveshell import InteractiveShell

    usual, plotly.io.renderers.default = plotly.io.renderers.default, "plotly_mimetype"
    InteractiveShell.instance()
    yield
    InteractiveShell.clear_instance()
    plotly.io.renderers.default = usual


@pytest.mark.usefixtures("notebook")
def test_every_figure_is_shown_inline(search: optuna.Study) -> None:
    from IPython.utils.capture import capture_output

    with capture_output() as captured:
        study_report(search)
    shown = [output.data["application/vnd.plotly.v1+json"] for output in captured.outputs]
    titles = [figure["layout"]["title"]["text"] for figure in shown]
    assert titles[0] == "Pareto front" and len(titles) == len(set(titles)) == 7


def test_without_a_notebook_it_says_what_to_call(search: optuna.Study, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "IPython.display", None)
    with pytest.raises(StudyError, match=r"write_report\(study, 'report.html'\)"):
        study_report(search)
