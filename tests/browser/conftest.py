"""A Prefect server whose pages know its address, two healed failures on it, and a browser without a network."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_START_SECONDS = 180
_HEAL_SECONDS = 240
_STOP_SECONDS = 20
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SCREEN = {"width": 1280, "height": 800}
PICTURES = Path(__file__).parents[2] / "test-output"


@dataclass(frozen=True)
class Seen:
    """A server with pages, and what it holds."""

    url: str
    environment: dict[str, str]

    def post(self, path: str, body: dict[str, object]) -> object:
        answer = httpx.post(f"{self.url}/api{path}", json=body, timeout=30, trust_env=False)
        answer.raise_for_status()
        return answer.json()

    def artifact(self, fault: str, folder: Path) -> dict[str, str]:
        """Let the flow fail with `fault`, and return the artifact that its healing left."""
        script = Path(__file__).with_name("nightly.py")
        command = [sys.executable, str(script), fault, str(folder / "seen")]
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=_HEAL_SECONDS, check=False
        )
        found = [each for each in self.post("/artifacts/filter", {}) if (each["key"] or "").startswith("incident-")]
        assert found, done.stdout + done.stderr
        return max(found, key=lambda each: each["created"])

    def artifact_of(self, markdown: str, key: str, description: str = "") -> dict[str, str]:
        """Return a new artifact with this Markdown."""
        return self.post("/artifacts/", {"key": key, "type": "markdown", "data": markdown, "description": description})


@pytest.fixture(scope="session")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url, home = f"http://127.0.0.1:{port}", tmp_path_factory.mktemp("browser")
    environment = {
        **os.environ,
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": f"{url}/api",
        "PREFECT_UI_URL": url,
        "PREFECT_SERVER_UI_API_URL": f"{url}/api",  # Without it the pages ask port 4200 and stay empty.
    }
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with (home / "server.log").open("w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            _wait_for(lambda: _answers(url), server, home / "server.log")
            yield Seen(url, environment)
        finally:
            server.terminate()
            server.wait(_STOP_SECONDS)


@pytest.fixture(scope="session")
def browser() -> "Iterator[Browser]":
    """Start Debian's chromium, or the one that `playwright install` fetched."""
    from playwright.sync_api import sync_playwright

    found = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: "Browser", seen: Seen) -> "Iterator[Page]":
    page = browser.new_page(viewport=SCREEN)
    page.route(lambda url: not url.startswith((seen.url, "data:")), lambda route: route.abort())
    yield page
    page.close()


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/api/health", timeout=2, trust_env=False).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def _wait_for(done: Callable[[], bool], server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + _START_SECONDS
    while not done():
        assert server.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.2)
