from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import optuna
import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait
from synthetic import make_trial, study_of

from optuna_nas.reporting import front, write_report

PLOTS = {
    "plot-front",
    "plot-cost",
    "plot-hypervolume",
    "plot-rungs",
    "plot-curves",
    "plot-preferences",
    "plot-importances",
}
HOSTILE = "<img src=x onerror=window.pwned=1>"


def opened(browser: Chrome, address: str) -> Chrome:
    browser.get_log("browser")
    browser.get(address)
    if address.startswith("file:"):
        script = "return performance.getEntriesByName('drawn').length"
        WebDriverWait(browser, 60).until(lambda page: page.execute_script(script))
    return browser


def numbers(browser: Chrome) -> list[int]:
    script = """return [...document.querySelectorAll("#trials tbody tr")]
        .filter(row => !row.hidden).map(row => Number(row.dataset.number))"""
    return [int(number) for number in browser.execute_script(script)]


def severe(browser: Chrome) -> list[Any]:
    return [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


@pytest.fixture(scope="module")
def written(search: optuna.Study, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(search, path)
    return path.as_uri()


@pytest.fixture
def report(browser: Chrome, written: str) -> Chrome:
    return opened(browser, written)


def test_every_plot_is_drawn_without_an_error_or_a_request(report: Chrome) -> None:
    drawn = report.find_elements(By.CSS_SELECTOR, ".js-plotly-plot:has(.main-svg)")
    assert {plot.get_attribute("id") for plot in drawn} == PLOTS
    assert report.execute_script("return performance.getEntriesByType('resource')") == []
    assert severe(report) == []


def test_the_front_that_is_drawn_is_that_of_storage(report: Chrome, search: optuna.Study) -> None:
    drawn = report.execute_script(
        """const { x, y, customdata } = document.getElementById("plot-front")._fullData.at(-1);
        return [x, y, customdata].map(column => Array.from(column));"""
    )
    found = front(search)
    values = [search.trials[record.number].values for record in found]
    assert drawn == [[v[1] for v in values], [v[0] for v in values], [r.number for r in found]]


def test_hovering_a_point_of_the_front_tells_the_trial(
    report: Chrome, search: optuna.Study
) -> None:
    report.execute_script(
        """const plot = document.getElementById("plot-front");
        Plotly.Fx.hover(plot, [{curveNumber: plot.data.length - 1, pointNumber: 0}]);"""
    )
    label = report.find_element(By.CSS_SELECTOR, "#plot-front .hoverlayer").text
    best = front(search)[0]
    assert f"trial {best.number}" in label
    assert best.network.split(" > ")[0] in label


def test_trials_are_sorted_by_a_click_on_a_heading(report: Chrome, search: optuna.Study) -> None:
    heading = report.find_element(By.XPATH, "//table[@id='trials']//button[text()='epochs']")
    heading.click()
    spent = {t.number: t.user_attrs["spent"]["epochs"] for t in search.trials}
    assert [spent[n] for n in numbers(report)] == sorted(spent.values())
    heading.click()
    assert [spent[n] for n in numbers(report)] == sorted(spent.values(), reverse=True)


def test_trials_are_filtered_by_text_and_outcome(report: Chrome, search: optuna.Study) -> None:
    report.find_element(By.ID, "filter").send_keys("c64_k5_residual")
    fitting = [t.number for t in search.trials if "c64_k5_residual" in t.user_attrs["network"]]
    assert fitting and numbers(report) == fitting
    report.find_element(By.ID, "filter").clear()
    report.find_element(By.CSS_SELECTOR, "#outcome option[value=front]").click()
    assert sorted(numbers(report)) == sorted(r.number for r in front(search))
    assert report.find_element(By.ID, "shown").text == f"{len(front(search))} of 60 trials"


def test_nothing_is_wider_than_a_phone(report: Chrome) -> None:
    phone = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    report.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    try:
        opened(report, report.current_url)
        assert report.execute_script("return document.documentElement.scrollWidth") <= 390
    finally:
        report.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def clicked(page: Chrome, plot: str, trace: int, point: int) -> str:
    """Click on a point as a hand would; the text of what opens."""
    place = page.execute_script(
        """const [plot, trace, point] = arguments, box = document.getElementById(plot);
        box.scrollIntoView({ block: "center" });
        const { xaxis, yaxis } = box._fullLayout, area = box.getBoundingClientRect();
        const { x, y } = box._fullData[trace];
        return [area.x + xaxis._offset + xaxis.d2p(x[point]),
                area.y + yaxis._offset + yaxis.d2p(y[point])];""",
        plot,
        trace,
        point,
    )
    mouse = ActionBuilder(page)
    mouse.pointer_action.move_to_location(*map(round, place))
    mouse.perform()
    # Plotly takes a click for one on what it hovers, which a busy machine finds later.
    hovers = "return (document.getElementById(arguments[0])._hoverdata || []).length > 0"
    WebDriverWait(page, 60).until(lambda _: page.execute_script(hovers, plot))
    mouse = ActionBuilder(page)
    mouse.pointer_action.click()
    mouse.perform()
    opens = "return document.getElementById('detail').open"
    WebDriverWait(page, 60).until(lambda _: page.execute_script(opens))
    return page.find_element(By.ID, "detail").text


def test_a_click_on_the_front_shows_diagram_curve_and_measurements(
    report: Chrome, search: optuna.Study
) -> None:
    best = front(search)[0]
    traces = report.execute_script("return document.getElementById('plot-front').data.length")
    text = clicked(report, "plot-front", traces - 1, 0)
    assert f"Trial {best.number}" in text and "on the front" in text
    assert best.network in text and "latency (ms)" in text and "eager, 1 thread" in text
    script = "return document.querySelector('#detail img').naturalWidth"
    assert report.execute_script(script) > 50
    curve = "return document.querySelector('#detail .js-plotly-plot').data[0].y"
    drawn = report.execute_script(curve)
    assert drawn == pytest.approx([best.curve[s]["accuracy"] for s in sorted(best.curve)], 1e-4)
    report.find_element(By.CSS_SELECTOR, "#detail [aria-label=Close]").click()
    assert not report.execute_script("return document.getElementById('detail').open")
    assert severe(report) == []


def test_what_is_shown_is_what_is_downloaded(report: Chrome, search: optuna.Study) -> None:
    report.find_element(By.CSS_SELECTOR, "#outcome option[value=front]").click()
    rows = list(csv.DictReader(io.StringIO(report.execute_script("return csv()"))))
    found = {record.number: record for record in front(search)}
    assert {int(row["trial"]) for row in rows} == set(found)
    for row in rows:
        record = found[int(row["trial"])]
        assert {name: float(row[name]) for name in record.values} == record.values
        assert row["network"] == record.network and row["digest"] == record.digest
        assert float(row["param layers"]) == search.trials[record.number].params["layers"]
    report.execute_script("document.getElementById('download').click()")
    assert severe(report) == []


def test_hostile_text_does_not_run(browser: Chrome, tmp_path: Path) -> None:
    hostile = make_trial((0.5, 1.0), network=HOSTILE, ended=HOSTILE, **{HOSTILE: HOSTILE})
    formula = make_trial((0.4, 2.0), network="=1+1", curve={1: (0.1, 1.0), 2: (0.2, 1.0)})
    study = study_of([hostile, formula], name=HOSTILE)
    write_report(study, tmp_path / "hostile.html")
    page = opened(browser, (tmp_path / "hostile.html").as_uri())
    page.execute_script(
        """const plot = document.getElementById("plot-front");
        Plotly.Fx.hover(plot, [{curveNumber: plot.data.length - 1, pointNumber: 0}]);"""
    )
    assert page.find_element(By.TAG_NAME, "h1").text == HOSTILE
    assert HOSTILE in page.find_element(By.CSS_SELECTOR, "#plot-front .hoverlayer").text
    page.execute_script("document.querySelector('#front button').click()")
    shown = page.find_element(By.ID, "detail").text
    assert shown.count(HOSTILE) == 4  # network, why it ended, name and value of the attribute
    table = list(csv.DictReader(io.StringIO(page.execute_script("return csv()"))))
    assert [row["network"] for row in table] == [HOSTILE, "'=1+1"]
    assert page.execute_script("return [window.pwned, document.images.length]") == [None, 0]
    assert severe(page) == []
    page.execute_script(f"document.body.insertAdjacentHTML('beforeend', '{HOSTILE}')")
    WebDriverWait(page, 60).until(lambda _: severe(page))  # even then: the policy of the page
    assert page.execute_script("return window.pwned") is None
