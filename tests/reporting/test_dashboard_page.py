"""optuna-dashboard in Chromium, on a study that was really run."""

from __future__ import annotations

import json
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from selenium.common.exceptions import TimeoutException
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

import optuna_nas as nas
from optuna_nas.reporting import Panels
from optuna_nas.reporting.dashboard import HOST, server
from optuna_nas.reporting.panels import PANELS

# What optuna-dashboard's own importances say of parameters that few trials have.
pytestmark = pytest.mark.filterwarnings("ignore:Some regimes for parameter")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A dashboard that serves a study that was really run."""
    storage = f"sqlite:///{tmp_path_factory.mktemp('dashboard') / 'study.db'}"
    search = nas.Search(
        name="digits",
        space=nas.spaces.MLP(layers=(1, 2), widths=(4, 8, 16)),
        data=nas.datasets.Digits(batch_size=256),
        objectives=["accuracy", "flops"],
        constraints=[nas.objectives.Parameters(max=700)],
        fidelity=nas.Budget(epochs=(1, 3)),
    )
    panels = Panels()
    study = search.run(12, storage, callbacks=[panels])
    panels.end(study)
    with server(study, 0) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://{HOST}:{running.server_port}/dashboard/studies/{study._study_id}"
        running.shutdown()
        thread.join()


def wait_for_text(page: Chrome, *parts: str) -> None:
    """Wait until a page shows something; keep a picture of one that does not."""

    def shown(_: Chrome) -> bool:
        text = page.execute_script("return document.body.innerText")
        return all(part in text for part in parts)

    try:
        WebDriverWait(page, 60).until(shown)
    except TimeoutException:
        picture = Path(tempfile.gettempdir()).parent / f"dashboard-{time.time():.0f}.png"
        page.save_screenshot(str(picture))
        pytest.fail(f"expected {parts} on {page.current_url}; see {picture}")


def test_the_dashboard_shows_objectives_and_panels(browser: Chrome, address: str) -> None:
    browser.get_log("browser")  # of pages before
    browser.get(address)
    wait_for_text(browser, "accuracy (fraction)", "flops (FLOP)", "Learning curves", "Hypervolume")
    drawn = "[id='user-defined-plot:{}'] .main-svg"
    for name, _ in PANELS:
        WebDriverWait(browser, 60).until(
            lambda p, n=name: p.find_elements(By.CSS_SELECTOR, drawn.format(n))
        )
    assert [e for e in browser.get_log("browser") if e["level"] == "SEVERE"] == []


def test_the_dashboard_shows_a_note_and_the_files_of_a_trial(
    browser: Chrome, address: str
) -> None:
    study = json.loads(urlopen(address.replace("/dashboard/", "/api/")).read())
    rejected = next(t for t in study["trials"] if any(c > 0 for c in t["constraints"]))
    browser.get(f"{address}/trials?numbers={rejected['number']}")
    wait_for_text(browser, "wanted at most 700", "measurement")
    best = study["best_trials"][0]
    browser.get(f"{address}/trials?numbers={best['number']}")
    wait_for_text(browser, "trained to the end, 3 epochs", "architecture.json")
    files = {artifact["filename"]: artifact["artifact_id"] for artifact in best["artifacts"]}
    where = address.replace("/dashboard/studies/", "/artifacts/")
    found = json.load(urlopen(f"{where}/{best['trial_id']}/{files['architecture.json']}"))
    assert found["nodes"]
