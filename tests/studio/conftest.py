"""A client for the API over the fake engine."""

from collections.abc import Callable, Iterator

import pytest
from fake_engine import FakeEngine
from starlette.testclient import TestClient

from ccfpse.server.app import create_app
from ccfpse.server.limits import Limits


@pytest.fixture
def client_for() -> Iterator[Callable[..., TestClient]]:
    """Makes clients of an application over given engines; faults of the server become status 500."""
    clients = []

    def make(*engines: FakeEngine, limits: Limits | None = None, **options: object) -> TestClient:
        app = create_app(engines or [FakeEngine()], limits=limits, **options)
        client = TestClient(app, base_url="http://127.0.0.1:8765", raise_server_exceptions=False)
        clients.append(client)
        return client.__enter__()

    yield make
    for client in clients:
        client.__exit__(None, None, None)
