"""A function of this process, called from the processes that it spawns."""

from __future__ import annotations

import os
from collections.abc import Callable
from multiprocessing.connection import Client, Connection, Listener
from threading import Thread
from typing import Any

__all__ = ["Link", "serve"]


class Link:
    """Picklable handle of a served function; it connects when first called.

    Args:
        address: Where the function is served.
        key: Secret shared by both ends.
    """

    def __init__(self, address: str, key: bytes) -> None:
        self._address = address
        self._key = key
        self._connection: Connection[Any, Any] | None = None

    def __call__(self, *args: Any) -> Any:
        """Call the function where it lives.

        Raises:
            Exception: Whatever the function raised.
        """
        if self._connection is None:
            self._connection = Client(self._address, authkey=self._key)
        self._connection.send(args)
        answer, error = self._connection.recv()
        if error is not None:
            raise error
        return answer

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_connection": None}


def serve(function: Callable[..., Any]) -> tuple[Link, Thread]:
    """Serve a function to one caller, on a thread that ends with the caller's process."""
    key = os.urandom(32)
    listener = Listener(family="AF_UNIX", authkey=key)
    thread = Thread(target=_answer, args=(listener, function), daemon=True)
    thread.start()
    return Link(str(listener.address), key), thread


def _answer(listener: Listener, function: Callable[..., Any]) -> None:
    with listener, listener.accept() as connection:
        while True:
            try:
                args = connection.recv()
            except EOFError:
                return
            reply: tuple[Any, Exception | None]
            try:
                reply = (function(*args), None)
            except Exception as error:
                reply = (None, error)
            connection.send(reply)
