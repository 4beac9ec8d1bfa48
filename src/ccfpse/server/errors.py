"""Every error is JSON {"code", "message"}: a word for programs and a sentence for people."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.responses import JSONResponse


class Error(BaseModel):
    """The body of every answer that is not a success."""

    code: str
    message: str


class ApiError(HTTPException):
    """A request that cannot be answered; `code` is stable, `message` says what came, what fits, the cure."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None):
        super().__init__(status, message, dict(headers or {}))
        self.code = code


def error_response(error: ApiError) -> JSONResponse:
    """The JSON answer for an error, also for use before routing."""
    body = {"code": error.code, "message": error.detail}
    return JSONResponse(body, error.status_code, dict(error.headers or {}))


def fault_response() -> JSONResponse:
    """The JSON answer for an exception that nobody expected; it tells nothing of what happened."""
    return error_response(ApiError(500, "internal_error", "a fault of the server; its log says more"))


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI entries for the errors of a route; those of the guards before every route are always there."""
    always = (400, 401, 403, 408, 413, 422)
    return {
        status: {"model": Error, "description": HTTPStatus(status).phrase}
        for status in sorted({*always, *statuses})
    }


def install_handlers(app: FastAPI) -> None:
    """Turn the framework's own errors into the same JSON; faults of ours are answered by `guards.Headed`."""

    async def http_error(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, StarletteHTTPException)
        if not isinstance(error, ApiError):
            code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_")
            error = ApiError(error.status_code, code, f"{error.detail}: {request.method} here", error.headers)
        return error_response(error)

    async def invalid(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:]) or "request"
        return error_response(ApiError(422, "invalid_request", f"{where}: {first['msg']}"))

    app.add_exception_handler(StarletteHTTPException, http_error)
    app.add_exception_handler(RequestValidationError, invalid)
