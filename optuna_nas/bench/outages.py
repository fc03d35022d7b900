"""Storages that go away for a while, and disks that are full: real ones, to see what is lost."""

from __future__ import annotations

import socket
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from functools import partial
from pathlib import Path

from optuna.storages.journal._file import get_lock_file
from sqlalchemy.engine import URL, make_url

from optuna_nas.exceptions import DescriptionError
from optuna_nas.study.storages.journal_lock import MortalLock

__all__ = ["Proxy", "full_disk", "with_outages"]

PORTS = {"postgresql": 5432, "mysql": 3306, "mariadb": 3306, "redis": 6379, "grpc": 13000}
ROOM = 1 << 14
"""Bytes that each file of a process may have while its disk is full: logs of a bench fit in."""

Outage = Callable[[], AbstractContextManager[None]]


class Proxy:
    """Passes bytes on to a server; cuts all connections, refuses new ones, or holds all back.

    Args:
        host: Of the server.
        port: Of the server.

    Attributes:
        port: Where it listens, on 127.0.0.1.
        refusing: Whether new connections are closed at once.
    """

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self._open: list[socket.socket] = []
        self._flows = threading.Event()
        self._flows.set()
        self._loses = False
        self.refusing = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @contextmanager
    def restart(self) -> Iterator[None]:
        """Be away, as a server is that restarts, until the block ends."""
        self.refusing = True
        self.cut()
        try:
            yield
        finally:
            self.refusing = False

    def cut(self) -> None:
        """Cut all connections."""
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self._open.clear()

    def hang(self, hangs: bool) -> None:
        """Hold all bytes back, or let them pass again."""
        (self._flows.clear if hangs else self._flows.set)()

    def lose_an_answer(self) -> None:
        """Cut all connections when the server answers next; of the answer nothing arrives."""
        self._loses = True

    def close(self) -> None:
        """Be no more."""
        self._listener.close()
        self.hang(False)
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.refusing:
                client.close()
                continue
            server = socket.create_connection(self._server)
            self._open += [client, server]
            for ends in ((client, server, False), (server, client, True)):
                threading.Thread(target=self._pass, args=ends, daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, answers: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self._flows.wait()
                if answers and self._loses:
                    self._loses = False
                    self.cut()
                target.sendall(data)
        for connection in (source, target):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def with_outages(url: str) -> Iterator[tuple[str, Outage]]:
    """A storage that can be taken away.

    Args:
        url: Of the storage. A server is reached by a proxy, which cuts and refuses connections;
            a file has no server, so that somebody else holds its lock.

    Yields:
        The URL by which it can, and what takes it away until a `with` block ends.
    """
    if "://" not in url:
        yield url, partial(_locked_journal, url)
        return
    parts = make_url(url)
    scheme = parts.get_backend_name()
    if scheme == "sqlite":
        yield url, partial(_locked_sqlite, parts.database or "")
        return
    proxy = Proxy(parts.host or "127.0.0.1", parts.port or PORTS[scheme])
    try:
        yield _text(parts.set(host="127.0.0.1", port=proxy.port)), proxy.restart
    finally:
        proxy.close()


@contextmanager
def full_disk(processes: Iterable[int]) -> Iterator[None]:
    """Let no file of some processes grow, as if their disk were full, until the block ends.

    Args:
        processes: Their ids; those that have ended, or end meanwhile, are left out.

    Raises:
        DescriptionError: The system has no limits that another process can set.
    """
    try:
        from resource import RLIMIT_FSIZE, prlimit
    except ImportError:
        raise DescriptionError(
            "expected Linux, where a process can be kept from writing; leave out the full disks: "
            "--fills 0"
        ) from None
    before = {}
    try:
        for process in processes:
            with suppress(ProcessLookupError):
                soft, hard = prlimit(process, RLIMIT_FSIZE)
                prlimit(process, RLIMIT_FSIZE, (ROOM, hard))
                before[process] = soft, hard
        yield
    finally:
        for process, limits in before.items():
            with suppress(ProcessLookupError):
                prlimit(process, RLIMIT_FSIZE, limits)


@contextmanager
def _locked_sqlite(path: str) -> Iterator[None]:
    with closing(sqlite3.connect(path, timeout=60.0, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield


@contextmanager
def _locked_journal(path: str) -> Iterator[None]:
    with get_lock_file(MortalLock(str(Path(path).absolute()))):
        yield


def _text(url: URL) -> str:
    return url.render_as_string(hide_password=False)
