"""Opening a storage by its URL, with errors that say what to do, and never a password."""

from __future__ import annotations

import importlib
import re
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import (
    BaseStorage,
    InMemoryStorage,
    JournalStorage,
    RDBStorage,
)
from sqlalchemy.exc import (
    ArgumentError,
    IntegrityError,
    OperationalError,
    ProgrammingError,
    SQLAlchemyError,
)

from optuna_nas.exceptions import StudyError
from optuna_nas.study.storages.chunks import ChunkedStorage
from optuna_nas.study.storages.journal import FileJournal
from optuna_nas.study.storages.patience import PATIENCE, Passing, Patience
from optuna_nas.study.storages.proxied import Proxied
from optuna_nas.study.storages.redis_journal import RedisJournal
from optuna_nas.study.storages.relational import Relational

__all__ = ["connect", "failed_storage", "in_memory", "masked", "patiently", "working"]

JOURNALS = (".log", ".journal")
"""Endings of the files that are made as journals."""
POSTGRESQL = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
"""After how long a network that hangs counts as broken: a minute, instead of hours."""
SERVER_SECONDS = 10.0
"""How long the server of a gRPC proxy may take to answer."""
MAKING_SECONDS = 2.0
"""How long another process may take to make the tables of a new database."""
WRONG = (
    "authentication|password|denied|not permitted|no pg_hba|unknown database|does not exist"
    "|translate host|not known|name resolution|no address|no such table|unable to open"
)
"""What is wrong with a URL, by the words of drivers: it will be so later, too."""
DRIVERS = ("grpc", "redis", "sqlalchemy")
"""Packages whose errors are those of storages."""
EXTRAS = {"postgresql": "postgresql", "mysql": "mysql", "mariadb": "mysql", "grpc": "grpc"}

T = TypeVar("T")


def connect(storage: str | BaseStorage, seconds: float = 0.0) -> BaseStorage:
    """Open a storage given by its URL, as Optuna's command line does.

    One that does not answer is an error at once: its URL may be wrong. Whoever knows that it was
    there may wait; but not for a host of an unknown name, nor with a password that is refused.

    Args:
        storage: A database as SQLAlchemy names it (`sqlite:///`, `postgresql://`,
            `mysql+pymysql://`), `redis://host:port`, the path of a journal file, which is made
            where it ends in `.log` or `.journal`, or `grpc://host:port` of Optuna's proxy; or an
            Optuna storage.
        seconds: How long it may be away.

    Raises:
        StudyError: The URL is none of these, its driver is not installed, nothing answers there,
            or it was written by another version of Optuna. Passwords are left out of the message.
    """
    if isinstance(storage, BaseStorage):
        return Relational(storage) if isinstance(storage, RDBStorage) else storage
    name = masked(storage)
    try:
        with working(storage):
            return patiently(partial(_open, storage), seconds)
    except ImportError as error:
        extra = EXTRAS.get(_scheme(name), _scheme(name) or "all")
        raise StudyError(
            f"the driver of {name} is not installed: {_first_line(error)}; "
            f'pip install "optuna-nas[{extra}]"'
        ) from error
    except (ValueError, ArgumentError) as error:
        raise StudyError(
            "expected a URL such as sqlite:///studies/name.db, postgresql://user@host/database, "
            f"redis://host:6379, grpc://host:13000 or name.journal, got {name}: "
            f"{_first_line(error)}"
        ) from error
    except RuntimeError as error:  # its tables are those of another version of Optuna
        raise StudyError(f"cannot use the storage {name}: {masked(str(error))}") from error


def patiently(work: Callable[[], T], seconds: float) -> T:
    """Do something that reaches a storage for the first time.

    Args:
        work: May be done again, while what is reached does not answer.
        seconds: For how long.

    Raises:
        StorageInternalError: It does not answer in that time.
    """

    def reached() -> T:
        try:
            return work()
        except (OperationalError, ConnectionError, Passing) as error:
            cause = error.__cause__ or error
            kind = StorageInternalError if re.search(WRONG, str(cause), re.I) else Passing
            raise kind(_first_line(cause)) from cause

    return Patience(seconds)(reached)


@contextmanager
def working(storage: str | BaseStorage) -> Iterator[None]:
    """Make what goes wrong with a storage one readable error.

    Args:
        storage: As in `connect`.

    Raises:
        StudyError: What went wrong, and what to do.
    """
    try:
        yield
    except (SQLAlchemyError, StorageInternalError, OSError) as error:
        if isinstance(error, ArgumentError):
            raise
        name = masked(storage) if isinstance(storage, str) else type(storage).__name__
        raise StudyError(
            f"cannot use the storage {name}: {_first_line(error.__cause__ or error)}; "
            "see whether it is there, and may be read and written"
        ) from error


def failed_storage(error: Exception) -> StudyError | None:
    """What a storage that fails in the midst of a run raises, as one readable error."""
    raised = type(error).__module__.partition(".")[0]
    if not (isinstance(error, StorageInternalError) or raised in DRIVERS):
        return None
    return StudyError(
        f"the storage failed: {_first_line(error.__cause__ or error)}; "
        "when it is there again, the same command goes on"
    )


def in_memory(storage: BaseStorage) -> bool:
    """Whether a storage ends with this process."""
    backend = getattr(storage, "_backend", storage)
    if isinstance(backend, RDBStorage) and backend.engine.dialect.name == "sqlite":
        return (backend.engine.url.database or ":memory:") == ":memory:"
    return isinstance(backend, InMemoryStorage)


def masked(text: str) -> str:
    """Text with the passwords of URLs in it replaced by stars."""
    text = re.sub(r"(\w+://[^:/@\s]*):[^@\s]*@", r"\1:***@", text)
    return re.sub(r"([?&]password=)[^&\s]+", r"\1***", text)


def _open(url: str) -> BaseStorage:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if _scheme(url) in ("redis", "rediss"):
            return _redis(url)
        if _scheme(url) == "grpc":
            return _grpc(url)
    if "://" not in url and (Path(url).is_file() or url.endswith(JOURNALS)):
        return JournalStorage(FileJournal(str(Path(url).absolute())))
    if _scheme(url) in ("mysql", "mariadb"):
        return Relational(_made(ChunkedStorage, url, pool_pre_ping=True))
    options = {"connect_args": POSTGRESQL} if _scheme(url) == "postgresql" else {}
    return Relational(_made(RDBStorage, url, **options))


def _made(kind: type[RDBStorage], url: str, **engine: Any) -> RDBStorage:
    """Open a database; once more where another process was making its tables just then."""
    try:
        return kind(url, engine_kwargs=engine)
    except (OperationalError, ProgrammingError, IntegrityError) as error:
        if not re.search("exist|duplicate|unique|locked", str(error), re.IGNORECASE):
            raise
        time.sleep(MAKING_SECONDS)
        return kind(url, engine_kwargs=engine)


def _redis(url: str) -> BaseStorage:
    importlib.import_module("redis")
    journal = RedisJournal(url)
    journal.patience.seconds = 0.0  # until it is known to be there
    storage = JournalStorage(journal)
    journal.patience.seconds = PATIENCE
    return storage


def _grpc(url: str) -> BaseStorage:
    host, _, port = url.removeprefix("grpc://").rstrip("/").rpartition(":")
    storage = Proxied(host=host, port=int(port))
    storage.wait_server_ready(SERVER_SECONDS)
    return storage


def _scheme(url: str) -> str:
    return re.split(r"[+:]", url)[0] if "://" in url else ""


def _first_line(error: BaseException) -> str:
    return masked((str(error).strip() or type(error).__name__).splitlines()[0])
