"""How fast a report is written, opened and redrawn; no test, since it says times.

    python tests/reporting/measure_report.py [TRIALS]

Prints seconds of processor and of clock to write the report of a synthetic study, its size, and
in headless Chromium the milliseconds until the page can be read, until its last plot is drawn,
and to redraw each plot.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import optuna
from conftest import OPTIONS
from selenium import webdriver
from selenium.webdriver.support.ui import WebDriverWait
from synthetic import make_search

from optuna_nas.reporting import write_report

DRAWN = "return performance.getEntriesByName('drawn').length"
OPENED = """
const page = performance.getEntriesByType("navigation")[0];
return { read: page.domContentLoadedEventEnd,
         drawn: performance.getEntriesByName("drawn")[0].startTime };
"""
REDRAWN = """
const times = {};
for (const box of document.querySelectorAll(".js-plotly-plot")) {
  const begun = performance.now();
  Plotly.redraw(box);
  box.getBoundingClientRect();
  times[box.id] = performance.now() - begun;
}
return times;
"""


def measure(trials: int) -> dict[str, Any]:
    study = make_search(trials, epochs=27)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.html"
        write_report(make_search(10), path)  # imports
        clock, processor = time.perf_counter(), time.process_time()
        write_report(study, path)
        written = {
            "write_s": time.perf_counter() - clock,
            "write_cpu_s": time.process_time() - processor,
            "bytes": path.stat().st_size,
        }
        return written | _seen(path, Path(folder))


def _seen(path: Path, folder: Path) -> dict[str, Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for option in (*OPTIONS, f"--user-data-dir={folder / 'chromium'}"):
        options.add_argument(option)
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    with webdriver.Chrome(options=options, service=service) as browser:
        opened = []
        for _ in range(3):
            browser.get(path.as_uri())
            WebDriverWait(browser, 60).until(lambda page: page.execute_script(DRAWN))
            opened.append(browser.execute_script(OPENED))
        redrawn = [browser.execute_script(REDRAWN) for _ in range(3)]
    return {
        "open_ms": {k: round(min(o[k] for o in opened)) for k in opened[0]},
        "redraw_ms": {k: round(min(r[k] for r in redrawn)) for k in redrawn[0]},
    }


if __name__ == "__main__":
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    found = measure(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
    print(json.dumps(found, indent=2))
