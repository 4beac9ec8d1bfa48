"""A client for the API over the fake engine, and pages of the studio in a real browser."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from fake_engine import FakeEngine
from pages import settled
from serving import ARGUMENTS, browser_path, served
from starlette.testclient import TestClient

from ccfpse.server.app import create_app
from ccfpse.server.limits import Limits

REPOSITORY = Path(__file__).resolve().parents[2]
ARTEFACTS = REPOSITORY / "artefacts"
sys.path.append(str(REPOSITORY / "benchmarks"))  # studio_load, whose measurement is a test too


@pytest.fixture
def client_for() -> Iterator[Callable[..., TestClient]]:
    """Makes clients of an application over given engines; faults of the server become status 500."""
    clients = []

    def make(*engines: FakeEngine, limits: Limits | None = None, **options: Any) -> TestClient:
        app = create_app(engines or [FakeEngine()], limits=limits, **options)
        client = TestClient(app, base_url="http://127.0.0.1:8765", raise_server_exceptions=False)
        clients.append(client)
        return client.__enter__()

    yield make
    for client in clients:
        client.__exit__(None, None, None)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    path = browser_path()
    if path is None:
        pytest.skip("no Chromium is installed (apt-get install chromium)")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def studio() -> Iterator[str]:
    """The address of a studio with the fake engine, shared by the tests that need nothing special."""
    with served(FakeEngine()) as address:
        yield address


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """Starts studios with other engines or settings; they outlive the pages of the test."""
    with ExitStack() as stack:
        yield lambda *engines, **options: stack.enter_context(served(*engines, **options))


@pytest.fixture
def open_page(chromium: Any, studio: str, serve: Any) -> Iterator[Callable[..., Any]]:
    """Opens pages, each with a memory of its own; no error may show up, no request leave the machine."""
    contexts, complaints = [], []

    def watch(page: Any, expected: tuple[str, ...]) -> None:
        def complain(text: str) -> None:
            # The tests read pixels back from canvases, which browsers advise against.
            if not any(word in text for word in (*expected, "willReadFrequently")):
                complaints.append(text)

        page.on("console", lambda message: message.type in ("error", "warning") and complain(message.text))
        page.on("pageerror", lambda error: complain(str(error)))
        page.on("request", lambda request: _is_here(request.url) or complain(f"request to {request.url}"))

    def make(
        address: str = studio, *, expected: tuple[str, ...] = (), ready: bool = True, **options: Any
    ) -> Any:
        options.setdefault("viewport", {"width": 1280, "height": 800})
        context = chromium.new_context(**options)
        context.set_default_timeout(10_000)
        contexts.append(context)
        page = context.new_page()
        watch(page, expected)
        page.goto(address)
        if ready:
            settled(page)
        return page

    yield make
    for context in contexts:
        context.close()
    assert complaints == []


def _is_here(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in ("blob", "data") or parts.hostname == "127.0.0.1"


@pytest.fixture
def picture() -> Callable[[Any, str], None]:
    """Keeps a screenshot in artefacts/ for people to look at."""

    def take(page: Any, name: str) -> None:
        ARTEFACTS.mkdir(exist_ok=True)
        page.screenshot(path=ARTEFACTS / f"studio-{name}.png")

    return take
