"""What all tests share."""

import atexit
import gc
import importlib
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import settings

pytest.register_assert_rewrite("optuna_nas.testing")

# How long an example takes says more about the machine than about the code.
settings.register_profile("optuna_nas", deadline=None)
settings.load_profile("optuna_nas")

os.environ.setdefault("OMP_NUM_THREADS", "1")

# Locks of the host lie in the temporary directory: that of the tests, and of all processes they
# start, is their own, so that they neither disturb nor wait for other work on the machine.
os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
_temporary = tempfile.TemporaryDirectory(
    prefix="nas-tests-", dir=os.environ["PYTEST_DEBUG_TEMPROOT"], ignore_cleanup_errors=True
)
os.environ["TMPDIR"] = tempfile.tempdir = _temporary.name
atexit.register(_temporary.cleanup)  # before it is collected, which would be a warning


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest: one that begins last runs on while all other processes wait."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


def pytest_collection_finish() -> None:
    """Look for garbage among what tests make alone: a tenth of their time went into the rest."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def absent() -> Callable[[str], object]:
    """Skips a test for what is not installed here, and fails it in CI."""
    return pytest.fail if os.environ.get("CI") == "true" else pytest.skip


@pytest.fixture(scope="session")
def imported(absent: Callable[[str], object]) -> Callable[[str], Any]:
    """Imports a package of an extra."""

    def find(name: str) -> Any:
        try:
            return importlib.import_module(name)
        except ImportError as error:
            return absent(f'{error}: pip install "optuna-nas[all]"')

    return find


@pytest.fixture(scope="session")
def data_folder(absent: Callable[[str], object]) -> Path:
    """The published data sets: where OPTUNA_NAS_DATA says, or beside the project."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("OPTUNA_NAS_DATA", beside))
    if not folder.is_dir():
        absent(f"no published data sets in {folder}: set OPTUNA_NAS_DATA to the folder")
    return folder


@pytest.fixture(scope="session")
def data_file(absent: Callable[[str], object], data_folder: Path) -> Callable[[str], Path]:
    """Finds a published file by its name."""

    def find(name: str) -> Path:
        path = data_folder / name
        if not path.is_file():
            absent(f"no published data: {path} is not there")
        return path

    return find


@pytest.fixture
def onnxruntime(absent: Callable[[str], object]) -> None:
    """ONNX Runtime, an extra."""
    from optuna_nas import backends
    from optuna_nas.exceptions import MeasurementError

    try:
        backends.find("onnxruntime")().check()
    except MeasurementError as missing:
        absent(str(missing))


@pytest.fixture(autouse=True, scope="session")
def soon_calibrated() -> Iterator[None]:
    """Calibrate for a moment: beside other tests it would wait for a quiet one to no avail."""
    from optuna_nas.measuring import network, timing

    def calibrated(*arguments: Any) -> dict[str, float]:  # in the measuring process
        with mock.patch.object(timing, "CALIBRATION_LIMITS", (0.1, 0.4)):
            return network.calibrate(*arguments)

    with mock.patch("optuna_nas.objectives.latency.calibrate", calibrated):
        yield


@pytest.fixture
def unrefused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Record every latency, however busy the machine is: for tests of what else there is to it."""
    from optuna_nas.measuring import network

    def timed(*arguments: Any) -> dict[str, Any]:  # in the measuring process
        with mock.patch.object(network, "_refused", lambda *_: None):
            return network.time_network(*arguments)

    monkeypatch.setattr("optuna_nas.objectives.latency.time_network", timed)


@pytest.fixture
def untimed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exports without their latencies, which take seconds each, and longer on a busy machine."""
    monkeypatch.setattr("optuna_nas.finalists.forms._time", lambda *_: (None, ""))


@pytest.fixture(scope="session")
def s3_server(absent: Callable[[str], object]) -> Iterator[str]:
    """The address of a server that speaks S3, in this process."""
    try:
        from moto.server import ThreadedMotoServer
    except ImportError as error:
        absent(f"no S3 to test with: {error}")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def s3(s3_server: str, tmp_path: Path) -> Iterator[Any]:
    """A client of a server with one empty bucket, `nas-test`, which the environment names."""
    from optuna_nas.study import bucket

    ours = {
        "AWS_ENDPOINT_URL": s3_server,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing-secret",
        "AWS_MAX_ATTEMPTS": "1",
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
    }
    others = [name for name in os.environ if name.startswith("AWS_")]
    with mock.patch.dict(os.environ):
        for name in others:
            del os.environ[name]
        os.environ.update(ours)
        bucket._client.cache_clear()
        client = bucket._client(os.getpid())
        client.create_bucket(Bucket="nas-test")
        yield client
        for found in client.list_objects_v2(Bucket="nas-test").get("Contents", ()):
            client.delete_object(Bucket="nas-test", Key=found["Key"])
        client.delete_bucket(Bucket="nas-test")
        client.close()
        bucket._client.cache_clear()
