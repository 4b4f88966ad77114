"""A system that effects are made on, and that counts them itself."""

import json
import threading
from collections import defaultdict
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TIMEOUT_SECONDS = 30


@dataclass
class Counted:
    """What was done to one item: effects, takings back, requests, and the idempotency keys that were seen."""

    done: int = 0
    undone: int = 0
    requests: int = 0
    keys: set[str] = field(default_factory=set)


class Target:
    """The target over HTTP on loopback. Every row of the matrix has items of its own: `/{row}/{item}`."""

    def __init__(self) -> None:
        self._items = defaultdict[str, Counted](Counted)
        self._lock = threading.Lock()
        target = self

        class Handler(BaseHTTPRequestHandler):
            timeout = TIMEOUT_SECONDS

            def do_GET(self) -> None:
                self._answer(target.look(self.path.lstrip("/")))

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self._answer(target.act(self.path.lstrip("/"), self.headers.get("Idempotency-Key")))

            def log_message(self, *_: object) -> None:
                """Say nothing."""

            def _answer(self, counted: Counted) -> None:
                body = json.dumps({"present": counted.done > counted.undone, "done": counted.done}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()

    def look(self, item: str) -> Counted:
        """Return what was done to an item."""
        with self._lock:
            return self._items[item]

    def act(self, path: str, key: str | None) -> Counted:
        """Do, or with `/undo` at the end take back, unless the idempotency key was seen before."""
        item = path.removesuffix("/undo")
        with self._lock:
            counted = self._items[item]
            counted.requests += 1
            if key is None or key not in counted.keys:
                counted.keys |= {key} if key else set()
                counted.undone += path != item
                counted.done += path == item
            return counted
