from __future__ import annotations

import io
import socket
from wsgiref.simple_server import WSGIServer

import pytest
from optuna.storages import InMemoryStorage
from rich.console import Console

from optuna_nas.exceptions import StudyError
from optuna_nas.reporting import serve
from optuna_nas.reporting.dashboard import HOST


def test_it_says_where_it_listens_and_ends_with_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    console = Console(file=io.StringIO(), width=40)

    def interrupted(server: WSGIServer) -> None:
        with socket.create_connection((HOST, server.server_port)):
            raise KeyboardInterrupt

    monkeypatch.setattr(WSGIServer, "serve_forever", interrupted)
    monkeypatch.setattr("webbrowser.open", seen.append)
    serve(InMemoryStorage(), 0, open_browser=True, console=console)
    assert len(seen) == 1 and seen[0].startswith(f"http://{HOST}:")
    assert seen[0] in console.file.getvalue()
    serve(InMemoryStorage(), 0, open_browser=False, console=console)
    assert len(seen) == 1


def test_a_port_that_cannot_be_had_is_one_clear_error() -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StudyError, match=f"expected a free port on {HOST}, got {port}"):
            serve(InMemoryStorage(), port, open_browser=False)
    with pytest.raises(StudyError, match="expected a free port"):
        serve(InMemoryStorage(), 70000, open_browser=False)
