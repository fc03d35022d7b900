"""Workers as tasks of a Ray cluster, on as many machines as that has.

The tasks connect to this process, which they reach at its address in the cluster; a key that only
they are told opens the connection. Their storage must be one that all machines reach.

Source: Moritz et al. 2018, arXiv:1712.05889.
"""

from __future__ import annotations

import importlib
import secrets
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, answer_challenge, deliver_challenge
from typing import TYPE_CHECKING, Any

from optuna_nas.exceptions import DescriptionError
from optuna_nas.study.workers.messages import Died, Message
from optuna_nas.study.workers.process import WorkerProcess, packed

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

    from optuna_nas.study.search import Search
    from optuna_nas.study.workers import Workers

__all__ = ["launch"]

ANSWER_SECONDS = 10
"""How long who connects may take to show that it knows the key; meanwhile nobody else is heard."""


@contextmanager
def launch(
    search: Search, workers: Workers, storage: BaseStorage
) -> Iterator[Callable[[int], WorkerProcess]]:
    """Start workers as tasks of a Ray cluster; yields what starts one.

    Raises:
        DescriptionError: Ray is not installed, or there is no cluster at the address.
    """
    payload = packed(search, storage)
    ray = _connected(workers.address)
    on_gpu = search.trainer.get("accelerator") != "cpu" and ray.cluster_resources().get("GPU", 0)
    task = ray.remote(_work).options(
        num_cpus=search.threads or 1,
        num_gpus=1 / workers.per_device if on_gpu else 0,
        max_retries=0,  # the run starts another worker itself, and counts the deaths
    )
    yield lambda number: RayTask(number, payload, ray, task)


class RayTask(WorkerProcess):
    """A worker in a task of Ray.

    Args:
        number: Which of the workers it is.
        search: The search, packed.
        ray: The module.
        task: `_work` as a remote function.
    """

    def __init__(self, number: int, search: bytes, ray: Any, task: Any) -> None:
        super().__init__(number)
        self._ray = ray
        self._search = search
        self._key = secrets.token_bytes(32)
        self.connection = self._server = socket.create_server((ray.util.get_node_ip_address(), 0))
        self._reference = task.remote(self._server.getsockname(), self._key)

    def hear(self) -> Message | None:
        if isinstance(self.connection, Connection):
            return super().hear()
        if self.failed():
            return Died(self.death())
        accepted, _ = self._server.accept()
        with accepted:
            connection = Connection(accepted.dup().detach())
            _bound_reads(accepted, ANSWER_SECONDS)
            try:
                deliver_challenge(connection, self._key)
                answer_challenge(connection, self._key)
            except (AuthenticationError, EOFError, OSError):  # not the task: that will come
                connection.close()
                return None
            _bound_reads(accepted, 0)
        self.greet(connection, self._search)
        return None

    def failed(self) -> bool:
        ended, _ = self._ray.wait([self._reference], timeout=0)
        return bool(ended) and not isinstance(self.connection, Connection)

    def death(self) -> str:
        try:
            self._ray.get(self._reference, timeout=60.0)
        except Exception as error:  # whatever ended it
            return f"a task of Ray ended: {type(error).__name__}: {error}"
        return "a task of Ray ended"

    def interrupt(self) -> None:
        self._ray.cancel(self._reference)

    def end(self, deadline: float) -> None:
        left = max(0.1, deadline - time.monotonic())
        ended, _ = self._ray.wait([self._reference], timeout=left)
        if not ended:
            self._ray.cancel(self._reference, force=True)
        self.connection.close()
        self._server.close()


def _bound_reads(connection: socket.socket, seconds: int) -> None:
    """Have each read of a connection, by whoever shares it, fail after a while; 0: never."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", seconds, 0))


def _work(address: tuple[str, int], key: bytes) -> None:
    """What a task does."""
    from optuna_nas.study.workers.worker import serve

    with suppress(KeyboardInterrupt):
        serve(Client(address, authkey=key))


def _connected(address: str | None) -> Any:
    """Ray, connected to the cluster of an address, or to one of this host that it starts."""
    try:
        ray = importlib.import_module("ray")
    except ImportError as error:
        raise DescriptionError(
            'expected Ray for the launcher "ray", but it is not installed; '
            'pip install "optuna-nas[ray]"'
        ) from error
    if not ray.is_initialized():
        try:
            ray.init(address=address, include_dashboard=False, log_to_driver=False)
        except (ConnectionError, ValueError) as error:
            raise DescriptionError(
                f"expected a Ray cluster at {address!r}, got none: {error}; start one with "
                "ray start --head, or leave the address out for one of this host"
            ) from error
    return ray
