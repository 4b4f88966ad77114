"""The HTTP side: authentication, envelopes, headers, faults, and a record of every request."""

import json
import threading
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.messages_api.caching import PromptCache, tokens_of
from tests.messages_api.claude_models import MODELS
from tests.messages_api.conversation import check_conversation, turns_of
from tests.messages_api.fields import check_fields
from tests.messages_api.issued import Issued
from tests.messages_api.rejection import Rejected, kind_of
from tests.messages_api.script import Fault, Script, answer_for, content_of

KEY = "sk-ant-api03-for-the-local-server-only"
VERSION = "2026-10-21"
_BODY_BYTES_MAX = 32 * 1024 * 1024
_DRIP_SECONDS = 0.02
_HANG_SECONDS = 60.0


@dataclass
class Received:
    """One request for a message, and what came of it: `status` is None where no whole answer was sent."""

    headers: dict[str, str]
    body: Any
    status: int | None = None
    answer: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def usage(self) -> dict[str, int]:
        """Return the usage that was answered."""
        return self.answer["usage"]

    @property
    def input_tokens(self) -> int:
        """Return all input tokens, cached or not."""
        kinds = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
        return sum(self.usage[kind] for kind in kinds)


class MessagesApi:
    """A local Messages API, strict as the real one. Use it as a context manager; `url` is where it listens.

    `script` holds the answers by turn, `faults` what goes wrong with the next requests (None: nothing). `requests`
    is the record, oldest first.
    """

    def __init__(
        self,
        script: Script = (),
        *,
        faults: Iterable[Fault | None] = (),
        port: int = 0,
        cache_minimum_tokens: int = 1024,
        body_bytes_max: int = _BODY_BYTES_MAX,
        record: Path | None = None,
    ) -> None:
        self.script: Script = script
        self.faults = list(faults)
        self.requests: list[Received] = []
        self.body_bytes_max = body_bytes_max
        self.closing = threading.Event()
        self._cache = PromptCache(cache_minimum_tokens)
        self._issued = Issued()
        self._record = record
        self._lock = threading.Lock()
        self._count = 0
        self._http = _Server(("127.0.0.1", port), _Handler)
        self._http.api = self
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        """Return the base URL."""
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def next_id(self) -> str:
        """Return a new request id."""
        with self._lock:
            self._count += 1
            return f"req_{self._count:024d}"

    def begin(self, headers: dict[str, str], body: Any) -> tuple[Received, Fault | None]:
        """Record a request for a message; return the record and the fault that waits for it."""
        with self._lock:
            received = Received(headers, body)
            self.requests.append(received)
            return received, self.faults.pop(0) if self.faults else None

    def end(self, received: Received) -> None:
        """Append a finished request to the record file, without its headers, which hold the key."""
        if self._record is not None:
            line = {key: value for key, value in asdict(received).items() if key != "headers"}
            with self._lock, self._record.open("a") as file:
                file.write(json.dumps(line) + "\n")

    def message(self, body: Any) -> dict[str, Any]:
        """Return the answer to a request that keeps all rules; raise Rejected for one that does not."""
        with self._lock:
            if not isinstance(body, dict):
                raise Rejected("Input should be a valid dictionary or object to extract fields from")
            traits = check_fields(body)
            check_conversation(body["messages"], body["model"], traits, self._issued)
            turn, answer = answer_for(self.script, body)
            content, stop_reason = content_of(answer, turn)
            before = [(each.role, block) for each in turns_of(body["messages"]) for _, _, block in each.blocks]
            content = self._issued.sign(content, body["model"], before)
            self._issued.remember(content, stop_reason)
            return {
                "id": f"msg_{self._count:024d}",
                "type": "message",
                "role": "assistant",
                "model": body["model"],
                "content": content,
                "stop_reason": stop_reason,
                "stop_sequence": None,
                "usage": self._usage(body, content) | answer.usage,
            }

    def _usage(self, body: dict[str, Any], content: list[dict[str, Any]]) -> dict[str, Any]:
        paid = self._cache.usage(body)
        return {
            "input_tokens": paid.full,
            "cache_creation_input_tokens": paid.written,
            "cache_read_input_tokens": paid.read,
            "cache_creation": {"ephemeral_5m_input_tokens": paid.written, "ephemeral_1h_input_tokens": 0},
            "output_tokens": sum(tokens_of(block) for block in content),
            "service_tier": "standard",
        }


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    api: MessagesApi

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that leaves while it is answered is what several tests are about.
        pass


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
        pass

    def do_GET(self) -> None:
        if self.path == "/_requests":
            seen = [{**asdict(each), "headers": {}} for each in self.server.api.requests]
            self._send(200, seen)
            return
        try:
            self._check_headers()
            self._send(200, self._model(self.path.split("?")[0].rstrip("/").removeprefix("/v1/models")))
        except Rejected as rejected:
            self._reject(rejected)

    def do_POST(self) -> None:
        try:
            body = self._read_body()
        except Rejected as rejected:
            self._reject(rejected)
            return
        api = self.server.api
        received, fault = api.begin({key.lower(): value for key, value in self.headers.items()}, body)
        try:
            self._fail(fault, received) if fault is not None else self._answer(received)
        finally:
            api.end(received)

    def _answer(self, received: Received) -> None:
        try:
            received.answer = self.server.api.message(received.body)
        except Rejected as rejected:
            received.status = rejected.status
            self._reject(rejected)
            return
        received.status = 200
        self._send(200, received.answer)

    def _fail(self, fault: Fault, received: Received) -> None:
        if fault.kind == "status":
            received.status = fault.status
            rejected = Rejected(fault.message, fault.status)
            self._reject(rejected, fault.headers, fault.error_code)
        elif fault.kind == "malformed":
            received.status = 200
            self._send_text(200, fault.text, {})
        else:
            self.close_connection = True
            self._leave(fault)

    def _leave(self, fault: Fault) -> None:
        closing = self.server.api.closing
        if fault.kind == "hang":
            closing.wait(_HANG_SECONDS)
        if fault.kind in ("cut_body", "drip"):
            self.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n{")
        while fault.kind == "drip" and not closing.wait(_DRIP_SECONDS):
            self.wfile.write(b" ")

    def _read_body(self) -> Any:
        raw = self._read_bytes()
        self._check_headers()
        if self.path.split("?")[0] != "/v1/messages":
            raise Rejected("Not Found", 404)
        try:
            return json.loads(raw)
        except ValueError:
            raise Rejected("The request body is not valid JSON.") from None

    def _read_bytes(self) -> bytes:
        length = int(self.headers.get("content-length") or 0)
        if length <= self.server.api.body_bytes_max:
            return self.rfile.read(length)
        while length > 0:  # A client that still writes would not read the answer.
            length -= len(self.rfile.read(min(length, 1 << 20)))
        raise Rejected("Request exceeds the maximum allowed number of bytes.", 413)

    def _check_headers(self) -> None:
        bearer = (self.headers.get("authorization") or "").removeprefix("Bearer ")
        if (self.headers.get("x-api-key") or bearer) != KEY:
            raise Rejected("invalid x-api-key", 401)
        version = self.headers.get("anthropic-version")
        if version is None:
            raise Rejected("anthropic-version: header is required")
        if version != VERSION:
            raise Rejected(f'anthropic-version: "{version}" is not a valid version')

    def _model(self, path: str) -> dict[str, Any]:
        models = [{"type": "model", "id": name, "display_name": name} for name in MODELS]
        if not path:
            return {"data": models, "has_more": False, "first_id": models[0]["id"], "last_id": models[-1]["id"]}
        found = [each for each in models if f"/{each['id']}" == path]
        if not found:
            raise Rejected(f"model: {path.strip('/')}", 404)
        return found[0]

    def _reject(self, rejected: Rejected, headers: dict[str, str] | None = None, code: str | None = None) -> None:
        request_id = self.server.api.next_id()
        error: dict[str, Any] = {"type": kind_of(rejected.status), "message": str(rejected)}
        if code is not None:
            error["details"] = {"error_code": code}
        retry = {} if rejected.status >= 500 or rejected.status in (408, 409, 429) else {"x-should-retry": "false"}
        envelope = {"type": "error", "error": error, "request_id": request_id}
        self._send(rejected.status, envelope, {**retry, **(headers or {}), "request-id": request_id})

    def _send(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
        self._send_text(status, json.dumps(value), headers or {})

    def _send_text(self, status: int, text: str, headers: dict[str, str]) -> None:
        content = text.encode()
        self.send_response(status)
        limits = {
            "anthropic-ratelimit-requests-limit": "1000",
            "anthropic-ratelimit-requests-remaining": "999",
            "anthropic-ratelimit-requests-reset": "2030-01-01T00:00:00Z",
        }
        standard = {"content-type": "application/json", "content-length": str(len(content)), **limits}
        for key, value in {"request-id": self.server.api.next_id(), **standard, **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(content)
