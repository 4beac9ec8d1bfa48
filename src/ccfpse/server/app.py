"""The application: engines, worker and guards put together, and the routes that are not about photos."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request, Response
from starlette.responses import PlainTextResponse

from ccfpse.server.assets import load_assets
from ccfpse.server.errors import ApiError, documented, install_handlers
from ccfpse.server.guards import Guarded, Headed
from ccfpse.server.layouts import bundled_layouts
from ccfpse.server.limits import Limits
from ccfpse.server.metrics import Metrics
from ccfpse.server.routes import Service, make_router
from ccfpse.server.schemas import Health
from ccfpse.server.worker import Worker

if TYPE_CHECKING:
    from ccfpse.engine import Engine

DESCRIPTION = "Photos from label maps: the API behind the studio page, for programs."


def create_app(
    engines: Sequence["Engine"],
    *,
    limits: Limits | None = None,
    token: str | None = None,
    hosts: Iterable[str] = (),
) -> FastAPI:
    """The studio over loaded engines, as an ASGI application.

    token: asked of every request but the page's own files and /healthz. hosts: names besides localhost and IP
    addresses that the server answers to. Raises ValueError for no engine, or two of one name.
    """
    limits = limits or Limits()
    names = [engine.name for engine in engines]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"the studio needs at least one model and different names, got {names}")
    metrics = Metrics()
    worker = Worker(limits.waiting, metrics)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        worker.close()

    app = FastAPI(
        title="ccfpse studio",
        version=_version(),
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        generate_unique_id_function=lambda route: route.name,
    )
    service = Service(dict(zip(names, engines, strict=True)), limits, metrics, worker, bundled_layouts())
    app.include_router(make_router(service))
    _add_operations(app, service)
    open_paths = _add_page(app)
    app.add_middleware(Guarded, limits=limits, token=token, hosts=tuple(hosts), open_paths=open_paths)
    app.add_middleware(Headed, metrics=metrics)
    install_handlers(app)
    return app


def _add_operations(app: FastAPI, service: Service) -> None:
    @app.get("/healthz", responses=documented(), tags=["operations"])
    async def health() -> Health:
        """Whether the server is up; answers at once, also while photos are computed. Needs no token."""
        return Health(status="ok", pending=service.worker.pending, waiting_limit=service.worker.limit)

    @app.get(
        "/metrics",
        response_class=PlainTextResponse,
        responses=documented(),
        tags=["operations"],
    )
    async def metrics() -> Response:
        """Counters, durations and the queue's length in the Prometheus text format."""
        pending = "Requests that wait or are computed now.", float(service.worker.pending)
        text = service.metrics.text({"pending_requests": pending})
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


def _add_page(app: FastAPI) -> set[str]:
    """Routes for the page's files; returns the paths that need no token, as they hold nothing private."""
    assets = load_assets()

    @app.get("/", include_in_schema=False)
    async def index(request: Request) -> Response:
        return await file(request, "index.html")

    @app.get("/static/{path:path}", include_in_schema=False)
    async def file(request: Request, path: str) -> Response:
        asset = assets.get(path)
        if asset is None:
            raise ApiError(404, "not_found", "no such file")
        headers = {"ETag": asset.etag, "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match") == asset.etag:
            return Response(status_code=304, headers=headers)
        return Response(asset.content, media_type=asset.media_type, headers=headers)

    return {"/", "/healthz", *(f"/static/{path}" for path in assets)}


def _version() -> str:
    try:
        return version("ccfpse")
    except PackageNotFoundError:
        return "0"
