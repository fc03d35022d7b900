"""optuna-dashboard for a study, on this machine alone, with a note for every trial."""

from __future__ import annotations

import logging
import webbrowser
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import optuna
import optuna_dashboard
from optuna.storages import BaseStorage, get_storage
from rich.console import Console

from optuna_nas.exceptions import StudyError
from optuna_nas.reporting.annotated import annotated
from optuna_nas.reporting.artifacts import artifact_store

__all__ = ["HOST", "serve", "server"]

HOST = "127.0.0.1"

_logger = logging.getLogger(__name__)


def serve(
    storage: str | BaseStorage | optuna.Study,
    port: int = 8080,
    open_browser: bool = True,
    console: Console | None = None,
) -> None:
    """Serve optuna-dashboard on 127.0.0.1 until Ctrl-C.

    Args:
        storage: A study, whose page is opened and whose files are offered; or a storage, or its
            URL.
        port: TCP port; 0 takes a free one.
        open_browser: Whether to open the page in the default browser.
        console: Where to print the address; standard error by default.

    Raises:
        StudyError: The port is taken or not allowed.
    """
    with server(storage, port) as running:
        address = f"http://{HOST}:{running.server_port}/dashboard/"
        if isinstance(storage, optuna.Study):
            address += f"studies/{storage._study_id}"
        where = console or Console(stderr=True)
        where.print(f"{address}  (Ctrl-C ends it)", soft_wrap=True, highlight=False)
        if open_browser:
            webbrowser.open(address)
        try:
            running.serve_forever()
        except KeyboardInterrupt:
            where.print("ended")


def server(storage: str | BaseStorage | optuna.Study, port: int) -> WSGIServer:
    """The server of `serve`, listening but not yet answering.

    Args:
        storage: As in `serve`.
        port: As in `serve`.

    Raises:
        StudyError: The port is taken or not allowed.
    """
    files = artifact_store(storage) if isinstance(storage, optuna.Study) else None
    opened = storage._storage if isinstance(storage, optuna.Study) else get_storage(storage)
    app = optuna_dashboard.wsgi(annotated(opened), artifact_store=files)
    try:
        return make_server(HOST, port, app, server_class=_Server, handler_class=_Quiet)
    except (OSError, OverflowError) as error:
        raise StudyError(
            f"expected a free port on {HOST}, got {port}: {error}; choose another one by --port"
        ) from error


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        _logger.debug(format, *args)
