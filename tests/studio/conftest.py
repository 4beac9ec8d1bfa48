"""A client for the API over the fake engine, and pages of the studio in a real browser."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from fake_engine import FakeEngine
from pages import settled, start_again
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


class Watch:
    """What a page did that it must not: errors and warnings on its console, requests to other machines."""

    def __init__(self) -> None:
        self.complaints: list[str] = []
        self.expected: tuple[str, ...] = ()

    def add(self, page: Any) -> None:
        page.on("console", lambda said: said.type in ("error", "warning") and self.complain(said.text))
        page.on("pageerror", lambda error: self.complain(str(error)))
        page.on(
            "request", lambda request: _is_here(request.url) or self.complain(f"request to {request.url}")
        )

    def complain(self, text: str) -> None:
        # The tests read pixels back from canvases, which browsers advise against.
        if not any(word in text for word in (*self.expected, "willReadFrequently")):
            self.complaints.append(text)


@pytest.fixture
def open_page(chromium: Any, studio: str, serve: Any) -> Iterator[Callable[..., Any]]:
    """Opens pages, each with a memory of its own; no error may show up, no request leave the machine."""
    contexts, watch = [], Watch()

    def make(
        address: str = studio, *, expected: tuple[str, ...] = (), ready: bool = True, **options: Any
    ) -> Any:
        options.setdefault("viewport", {"width": 1280, "height": 800})
        context = chromium.new_context(**options)
        context.set_default_timeout(10_000)
        contexts.append(context)
        page = context.new_page()
        watch.expected = expected
        watch.add(page)
        page.goto(address)
        if ready:
            settled(page)
        return page

    yield make
    for context in contexts:
        context.close()
    assert watch.complaints == []


@pytest.fixture(scope="session")
def shared_page(chromium: Any, studio: str) -> Iterator[tuple[Any, Watch]]:
    context = chromium.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(10_000)
    page, watch = context.new_page(), Watch()
    watch.add(page)
    page.goto(studio)
    settled(page)
    yield page, watch
    context.close()


@pytest.fixture
def page(shared_page: tuple[Any, Watch], request: pytest.FixtureRequest) -> Iterator[Any]:
    """One page for many tests, at its start but blank; the marker browser(expected=…) allows complaints."""
    page, watch = shared_page
    marker = request.node.get_closest_marker("browser")
    watch.complaints.clear()
    watch.expected = marker.kwargs.get("expected", ()) if marker else ()
    start_again(page)
    yield page
    page.unroute_all()
    assert watch.complaints == []


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
