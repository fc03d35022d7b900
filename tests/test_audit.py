"""`make audit` against a service that speaks OSV's protocol and knows one made-up advisory."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ADVISORY = {
    "id": "MADE-UP-2026-1",
    "details": "An advisory that nobody has issued.",
    "affected": [
        {
            "package": {"name": "click", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}],
        }
    ],
}


@pytest.fixture
def service() -> Iterator[ThreadingHTTPServer]:
    """Notes in `asked` what it was asked about; its `advised` packages have the advisory."""

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            server.asked[query["package"]["name"]] = query["version"]
            known = query["package"]["name"] in server.advised
            body = json.dumps({"vulns": [ADVISORY]} if known else {}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    server.asked, server.advised = {}, set()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def audit(service: ThreadingHTTPServer) -> subprocess.CompletedProcess[str]:
    """Run the target with this Python, and with nothing installed for it."""
    bin_ = Path(sys.executable).parent
    asking = f"--osv-url http://127.0.0.1:{service.server_port}/v1/query"
    made = ["--assume-old=.venv/.installed-dev", f"BIN={bin_}", f"AUDIT={asking}"]
    direct = {name: text for name, text in os.environ.items() if "proxy" not in name.lower()}
    return subprocess.run(
        ["make", *made, "audit"], cwd=ROOT, env=direct, capture_output=True, text=True
    )


def test_an_advisory_about_what_is_installed_is_an_error(service, absent) -> None:
    if find_spec("pip_audit") is None:
        absent('no pip-audit: pip install -e ".[dev]"')
    clean = audit(service)
    assert clean.returncode == 0, clean.stderr
    pinned = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line]
    assert len(service.asked) == len(pinned)
    service.advised.add("click")
    found = audit(service)
    assert found.returncode != 0
    assert "MADE-UP-2026-1" in found.stdout
    assert f"click {service.asked['click']}" in " ".join(found.stdout.split())
