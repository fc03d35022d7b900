from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator

import optuna
import pytest
from selenium import webdriver
from synthetic import make_search

OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,900",
)


@pytest.fixture(scope="session")
def search() -> optuna.Study:
    """A pruned search of sixty trials; read only."""
    return make_search()


@pytest.fixture(scope="session")
def browser(
    tmp_path_factory: pytest.TempPathFactory, absent: Callable[[str], object]
) -> Iterator[webdriver.Chrome]:
    """Headless Chromium."""
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if binary is None or driver is None:
        absent("chromium and chromedriver are not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for option in (*OPTIONS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    started = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield started
    started.quit()
