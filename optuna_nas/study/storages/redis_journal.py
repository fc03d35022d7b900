"""Optuna's journal in Redis, each entry of which is written once, whatever breaks meanwhile."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from uuid import uuid4

from optuna.exceptions import StorageInternalError
from optuna.storages.journal import BaseJournalBackend

from optuna_nas.study.storages.patience import Passing, Patience

__all__ = ["RedisJournal"]

BATCH = 1000
"""Entries that are read in one go."""
CONNECT_SECONDS = 10.0
"""How long a server may take to accept a connection."""
ANSWER_SECONDS = 60.0
"""How long it may take to answer; then the connection counts as broken."""
REMEMBERED = 86400
"""Seconds for which a server knows what a process has written last."""
CONNECTED = "_redis", "_own"
"""Attributes that each process has of its own."""
APPEND = """
if redis.call('get', KEYS[2]) == ARGV[1] then return end
redis.call('set', KEYS[2], ARGV[1], 'EX', ARGV[2])
redis.call('setnx', KEYS[1], -1)
for i = 4, #ARGV do
  local number = redis.call('incr', KEYS[1])
  redis.call('set', string.format('%s:log:%d', ARGV[3], number), ARGV[i])
end
"""
"""Redis runs it as a whole, or not at all; a second time it does nothing."""


class RedisJournal(BaseJournalBackend):
    """`optuna.storages.journal.JournalRedisBackend` that a server which is away only delays.

    When a connection breaks, nobody knows whether what was sent has been done. An entry that is
    written twice may be a second trial, so each comes with a number that Redis keeps beside the
    journal, and is not written again. Workers of plain Optuna may share the journal.

    Optuna keeps snapshots there as pickles. Unpickling what others may have written runs their
    code, and pickling all trials at every hundredth takes longer the more there are; so there are
    none.

    Args:
        url: Of the server.
        prefix: Of the keys of the journal.

    Attributes:
        patience: Tries again a server that is away.
    """

    def __init__(self, url: str, prefix: str = "") -> None:
        self._url, self._prefix = url, prefix
        self.patience = Patience()
        self._connect()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in CONNECTED}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._connect()

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        entries = [json.dumps(log) for log in logs]
        self.patience(partial(self._append, uuid4().hex, entries))

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        while entries := self.patience(partial(self._read, log_number_from)):
            yield from entries
            log_number_from += len(entries)

    def _connect(self) -> None:
        """Have a client that leaves trying again to us: it would write entries twice."""
        from redis import Redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        self._redis: Any = Redis.from_url(
            self._url,
            retry=Retry(NoBackoff(), 0),
            socket_connect_timeout=CONNECT_SECONDS,
            socket_timeout=ANSWER_SECONDS,
        )
        self._own = f"{self._prefix}:last:{uuid4().hex}"  # what this process has written last

    def _append(self, number: str, entries: list[str]) -> None:
        keys = f"{self._prefix}:log_number", self._own
        with _as_storage_errors():
            self._redis.eval(APPEND, 2, *keys, number, REMEMBERED, self._prefix, *entries)

    def _read(self, start: int) -> list[dict[str, Any]]:
        with _as_storage_errors():
            last = int(self._redis.get(f"{self._prefix}:log_number") or -1)
            if last < start - 1:
                raise StorageInternalError(
                    f"expected a journal of {start} entries or more, which were read before, got "
                    f"{last + 1}: the server has lost what it had"
                )
            numbers = range(start, min(last + 1, start + BATCH))
            keys = [f"{self._prefix}:log:{number}" for number in numbers]
            found = self._redis.mget(keys) if keys else []
        if None in found:
            raise StorageInternalError(f"entry {start + found.index(None)} of the journal is gone")
        return [json.loads(entry) for entry in found]


@contextmanager
def _as_storage_errors() -> Iterator[None]:
    """Raise what goes wrong as Optuna's databases do: no trial is to blame for it."""
    from redis import exceptions as known

    lasting = known.AuthenticationError, known.AuthorizationError
    passing = (
        known.ConnectionError,
        known.TimeoutError,
        known.TryAgainError,
        known.ClusterDownError,
        known.ReadOnlyError,  # of a replica that is about to take over
    )
    try:
        yield
    except known.RedisError as error:
        passes = isinstance(error, passing) and not isinstance(error, lasting)
        kind = Passing if passes else StorageInternalError
        raise kind(f"cannot use the journal: {error}") from error
