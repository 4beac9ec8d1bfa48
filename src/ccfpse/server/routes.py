"""The routes about models, layouts and photos: parse, call the engine in its turn, encode."""

import asyncio
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import numpy as np
from fastapi import APIRouter, File, Form, Query, Request, Response, UploadFile
from fastapi.concurrency import run_in_threadpool
from pydantic import Field, FiniteFloat, TypeAdapter, ValidationError

from ccfpse.server import decoding, encoding
from ccfpse.server.errors import ApiError, documented
from ccfpse.server.layouts import BundledLayout, drawn_for
from ccfpse.server.limits import Limits
from ccfpse.server.metrics import Metrics
from ccfpse.server.schemas import Classes, Layouts, Model, Models, PublicLimits, Styles
from ccfpse.server.worker import Timed, Worker

if TYPE_CHECKING:
    from ccfpse.engine import Engine

T = TypeVar("T")
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Side = Annotated[int, Field(ge=1, le=65535)]
StyleValue = Annotated[FiniteFloat, Field(ge=-100, le=100)]
STYLES: TypeAdapter[list[float] | list[list[float]]] = TypeAdapter(list[StyleValue] | list[list[StyleValue]])
PHOTOS_AT_ONCE = 2  # decoded at the same time; one of the largest takes hundreds of megabytes meanwhile


@dataclass(frozen=True)
class Service:
    """What the routes share."""

    engines: dict[str, "Engine"]
    limits: Limits
    metrics: Metrics
    worker: Worker
    layouts: dict[str, BundledLayout]
    photo_turn: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(PHOTOS_AT_ONCE))

    def engine(self, name: str | None) -> "Engine":
        """The engine of that name, or the first; ApiError 404."""
        if name is None:
            return next(iter(self.engines.values()))
        if name not in self.engines:
            raise ApiError(404, "unknown_model", f"no such model; there are: {', '.join(self.engines)}")
        return self.engines[name]

    def layouts_for(self, engine: "Engine") -> dict[str, BundledLayout]:
        """The bundled layouts that are drawn in the model's classes."""
        space = engine.label_space
        return {name: layout for name, layout in self.layouts.items() if drawn_for(layout.labels, space)}

    def layout(self, model: str, name: str) -> BundledLayout:
        """A bundled layout of a model; ApiError 404."""
        layouts = self.layouts_for(self.engine(model))
        if name not in layouts:
            raise ApiError(404, "unknown_layout", "no such layout")
        return layouts[name]

    async def compute(self, request: Request, function: Callable[[], T]) -> Timed[T]:
        """The worker's result; what the engine finds wrong with its arguments is the request's fault."""
        try:
            return await self.worker.run(request, function)
        except ValueError as error:
            raise ApiError(422, "invalid_request", str(error)) from None


def make_router(service: Service) -> APIRouter:
    """All routes below /v1."""
    router = APIRouter(prefix="/v1")
    _add_models(router, service)
    _add_styles(router, service)
    _add_layouts(router, service)
    _add_generate(router, service)
    return router


def _add_models(router: APIRouter, service: Service) -> None:
    @router.get("/models", responses=documented(), tags=["models"])
    async def models() -> Models:
        """The models served, the default one first, and the limits of a request."""
        limits = asdict(service.limits)
        public = PublicLimits(**{name: limits[name] for name in PublicLimits.model_fields})
        return Models(models=[_describe(engine) for engine in service.engines.values()], limits=public)

    @router.get("/models/{name}/classes", responses=documented(404), tags=["models"])
    async def classes(name: str) -> Classes:
        """A model's class names, colours and the id of unlabelled pixels: the content of a classes.json."""
        return Classes(**service.engine(name).label_space.to_dict())


def _add_styles(router: APIRouter, service: Service) -> None:
    @router.get("/models/{name}/styles", responses=documented(404), tags=["styles"])
    async def random_styles(
        name: str, seed: Annotated[Seed, Query()] = 0, count: Annotated[int, Query(ge=1, le=64)] = 1
    ) -> Styles:
        """Random style vectors, always the same ones for a seed."""
        engine = service.engine(name)
        if not engine.style_dim:
            raise ApiError(422, "no_style", f"{engine.name} has no styles: one layout gives one photo")
        return Styles(styles=np.asarray(engine.random_styles(count, seed)).tolist())

    @router.post("/models/{name}/encode-style", responses=documented(404, 429), tags=["styles"])
    async def encode_style(request: Request, name: str, reference: UploadFile) -> Styles:
        """The style vector of a reference photo (JPEG, PNG or WebP)."""
        engine = service.engine(name)
        photo = await _reference(service, engine, reference)
        timed = await service.compute(request, partial(engine.encode_style, photo))
        return Styles(styles=[np.asarray(timed.value).tolist()])


def _add_layouts(router: APIRouter, service: Service) -> None:
    @router.get("/models/{name}/layouts", responses=documented(404), tags=["layouts"])
    async def layouts(name: str) -> Layouts:
        """Names of the bundled layouts that are drawn in this model's classes."""
        return Layouts(layouts=list(service.layouts_for(service.engine(name))))

    @router.get(
        "/models/{name}/layouts/{layout}",
        response_class=Response,
        responses={**documented(404), 200: {"content": {"image/png": {}}}},
        tags=["layouts"],
    )
    async def layout_png(name: str, layout: str) -> Response:
        """A bundled layout: an indexed PNG of class ids in the class colours."""
        return Response(service.layout(name, layout).labels, media_type="image/png")

    @router.get(
        "/models/{name}/layouts/{layout}/instances",
        response_class=Response,
        responses={**documented(404), 200: {"content": {"image/png": {}}}},
        tags=["layouts"],
    )
    async def layout_instances_png(name: str, layout: str) -> Response:
        """The instance map of a bundled layout: a 16-bit grey PNG, 0 where there is no object."""
        content = service.layout(name, layout).instances
        if content is None:
            raise ApiError(404, "no_instances", "this layout has no instance map")
        return Response(content, media_type="image/png")

    @router.post(
        "/models/{name}/read-layout",
        response_class=Response,
        responses={**documented(404), 200: {"content": {"application/octet-stream": {}}}},
        tags=["layouts"],
    )
    async def read_layout(
        name: str,
        labels: UploadFile,
        instances: UploadFile | None = None,
        nearest: Annotated[bool, Form()] = False,
    ) -> Response:
        """The class ids of a label PNG, exactly: uint16 little-endian in rows from the top.

        Grey and indexed PNGs hold ids, RGB ones class colours. The size is in the headers X-Width and
        X-Height and need not be one that the model takes. instances: an instance PNG, whose ids follow in the
        same form. nearest: colours of no class become the nearest.
        """
        space, limit = service.engine(name).label_space, service.limits.layout_pixels
        content = await labels.read()
        layout = await run_in_threadpool(decoding.read_layout, content, space, limit, nearest=nearest)
        planes = [layout]
        if instances is not None:
            content = await instances.read()
            planes.append(await run_in_threadpool(decoding.read_instances, content, limit))
            decoding.same_size(planes[1], layout)
        headers = {"X-Width": str(layout.shape[1]), "X-Height": str(layout.shape[0])}
        body = b"".join(plane.astype("<u2").tobytes() for plane in planes)
        return Response(body, media_type="application/octet-stream", headers=headers)


def _add_generate(router: APIRouter, service: Service) -> None:
    pictures = {
        "description": "one PNG, or a zip of several",
        "content": {"image/png": {}, "application/zip": {}},
    }

    @router.post(
        "/generate",
        response_class=Response,
        responses={**documented(404, 429), 200: pictures},
        tags=["photos"],
    )
    async def generate(
        request: Request,
        labels: Annotated[
            UploadFile, File(description="label PNG, or raw ids where width and height are given")
        ],
        width: Annotated[Side | None, Form()] = None,
        height: Annotated[Side | None, Form()] = None,
        instances: Annotated[
            UploadFile | None, File(description="instance ids, in the form of labels")
        ] = None,
        model: Annotated[str | None, Form(description="default: the first of /v1/models")] = None,
        seed: Annotated[Seed, Form()] = 0,
        count: Annotated[int | None, Form(ge=1, description="default: one photo per style vector")] = None,
        style: Annotated[str | None, Form(description="JSON: one style vector, or a list of them")] = None,
        reference: Annotated[UploadFile | None, File(description="photo whose style is used")] = None,
    ) -> Response:
        """Photos of a layout: image/png for one, a zip of photo-01.png, … and about.json for several.

        Raw ids are uint8, or uint16 little-endian, in rows from the top. Server-Timing tells the time in the
        queue and in computation.
        """
        engine = service.engine(model)
        vectors = _styles(style, engine)
        count = count or (len(vectors) if vectors is not None and vectors.ndim == 2 else 1)
        if vectors is not None and vectors.ndim == 2 and count != len(vectors):
            raise ApiError(
                422, "invalid_request", f"count is {count}, but style holds {len(vectors)} vectors"
            )
        if count > service.limits.images:
            raise ApiError(413, "too_large", f"{count} photos; at most {service.limits.images} per request")
        layout, ids = await _maps(service, engine, labels, instances, width, height)
        if count * layout.size > service.limits.total_pixels:
            limit = service.limits.total_pixels
            raise ApiError(413, "too_large", f"{count} photos of this size are over {limit} pixels together")
        if vectors is not None and reference is not None:
            raise ApiError(422, "invalid_request", "style and reference exclude each other; send one of them")
        photo = None if reference is None else await _reference(service, engine, reference)
        arguments: dict[str, Any] = {"instances": ids, "count": count, "seed": seed}
        arguments["style"] = photo if vectors is None else vectors
        timed = await service.compute(request, partial(engine.generate, layout, **arguments))
        service.metrics.count("images_total", count, model=engine.name)
        return await run_in_threadpool(_answer, timed, engine, seed, vectors)


async def _maps(
    service: Service,
    engine: "Engine",
    labels: UploadFile,
    instances: UploadFile | None,
    width: int | None,
    height: int | None,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Label map and instance map (None where none came, or for a model without), checked."""
    space, limit = engine.label_space, service.limits.layout_pixels
    if (width is None) != (height is None):
        raise ApiError(422, "invalid_request", "raw ids need both width and height, a PNG neither")
    content = await labels.read()
    if width is not None and height is not None:
        layout = await run_in_threadpool(decoding.read_raw_layout, content, width, height, space, limit)
    else:
        layout = await run_in_threadpool(decoding.read_layout, content, space, limit)
    decoding.check_size(layout, engine.size_multiple, limit)
    if not engine.uses_instances or instances is None:
        return layout, None
    content = await instances.read()
    if width is not None and height is not None:
        ids = decoding.read_raw(content, width, height, limit, "instances")
    else:
        ids = await run_in_threadpool(decoding.read_instances, content, limit)
    decoding.same_size(ids, layout)
    return layout, ids


async def _reference(service: Service, engine: "Engine", reference: UploadFile) -> np.ndarray:
    """The reference photo, for a model that can read its style."""
    if not engine.encodes_style:
        raise ApiError(
            422, "no_style_encoder", f"{engine.name} cannot take its style from a photo; use seeds"
        )
    async with service.photo_turn:  # the worker's queue begins only after this
        content = await reference.read()
        return await run_in_threadpool(decoding.read_photo, content, service.limits.photo_pixels)


def _styles(style: str | None, engine: "Engine") -> np.ndarray | None:
    """Style vectors of a request: float32, style_dim or count×style_dim."""
    if style is None:
        return None
    if not engine.style_dim:
        raise ApiError(422, "no_style", f"{engine.name} has no styles: one layout gives one photo")
    form = f"style must be JSON: {engine.style_dim} numbers within ±100, or a list of such lists"
    try:
        vectors = np.asarray(STYLES.validate_json(style), dtype=np.float32)
    except (ValidationError, ValueError):
        raise ApiError(422, "wrong_style", form) from None
    if vectors.ndim not in (1, 2) or not vectors.size or vectors.shape[-1] != engine.style_dim:
        raise ApiError(422, "wrong_style", f"{form}; got {'×'.join(map(str, vectors.shape))}")
    return vectors


def _answer(timed: Timed[np.ndarray], engine: "Engine", seed: int, styles: np.ndarray | None) -> Response:
    photos = timed.value
    queue, compute = timed.queue_seconds * 1000, timed.compute_seconds * 1000
    headers = {"Server-Timing": f"queue;dur={queue:.1f}, compute;dur={compute:.1f}"}
    if len(photos) == 1:
        return Response(encoding.png(photos[0]), media_type="image/png", headers=headers)
    about: dict[str, Any] = {"model": engine.name, "attribution": engine.attribution}
    about |= {"seed": seed} if styles is None else {"styles": styles.tolist()}
    headers["Content-Disposition"] = 'attachment; filename="photos.zip"'
    return Response(encoding.archive(photos, about), media_type="application/zip", headers=headers)


def _describe(engine: "Engine") -> Model:
    height, width = engine.trained_size
    return Model(
        name=engine.name,
        classes=engine.label_space.classes,
        height=height,
        width=width,
        size_multiple=engine.size_multiple,
        style_dim=engine.style_dim,
        uses_instances=engine.uses_instances,
        encodes_style=engine.encodes_style,
        attribution=engine.attribution,
    )
