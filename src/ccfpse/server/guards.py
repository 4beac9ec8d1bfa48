"""What every request passes before a route sees it: headers, host and origin, token, size of the body."""

import asyncio
import hmac
import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ccfpse.server.errors import ApiError, error_response, fault_response
from ccfpse.server.limits import Limits
from ccfpse.server.metrics import Metrics

METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Headed:
    """Outermost: security headers on every answer, no caching of API answers, the request count, faults."""

    def __init__(self, app: ASGIApp, metrics: Metrics):
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)

        started = False

        async def send_headed(message: Message) -> None:
            nonlocal started
            started = True
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
                route = getattr(scope.get("route"), "path", "none")
                # Clients may invent methods, and each would be counted for ever.
                known = route != "none" and scope["method"] in METHODS
                method = scope["method"] if known else "any"
                status = str(message["status"])
                self.metrics.count("requests_total", method=method, route=route, status=status)
            await send(message)

        try:
            await self.app(scope, receive, send_headed)
        except Exception:
            # Answered here, since the framework's own answer would lack the headers and not be counted.
            if not started:
                await fault_response()(scope, receive, send_headed)
            raise  # for the log


class Guarded:
    """Refuses foreign hosts and origins, a missing token, and bodies that are too large or stall."""

    def __init__(
        self, app: ASGIApp, limits: Limits, token: str | None, hosts: Iterable[str], open_paths: set[str]
    ):
        self.app, self.limits, self.token, self.open_paths = app, limits, token, open_paths
        self.hosts = {"localhost", *(host.lower() for host in hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        headers = Headers(scope=scope)
        try:
            self._check_host(headers)
            self._check_token(headers, scope["path"])
            self._check_length(headers)
        except ApiError as error:
            return await error_response(error)(scope, receive, send)
        await self.app(scope, self._limited(receive), send)

    def _check_host(self, headers: Headers) -> None:
        """A page elsewhere must not reach us, neither by a name it made point here nor by a plain request."""
        host = headers.get("host", "")
        name = (urlsplit(f"//{host}").hostname or "") if _is_plain(host) else ""
        if name not in self.hosts and not _is_address(name):
            sentence = f"this server does not answer to the name {name!r}; --allow-host adds one"
            raise ApiError(400, "unknown_host", sentence)
        origin = headers.get("origin")
        if origin is not None and (not _is_plain(origin) or urlsplit(origin).netloc != host):
            raise ApiError(403, "foreign_origin", "requests from pages of other origins are refused")

    def _check_token(self, headers: Headers, path: str) -> None:
        if self.token is None or path in self.open_paths:
            return
        scheme, _, given = headers.get("authorization", "").partition(" ")
        same = hmac.compare_digest(given.strip().encode("latin-1"), self.token.encode())
        if scheme.lower() != "bearer" or not same:
            raise ApiError(
                401,
                "token_needed",
                "send the token the server was started with: Authorization: Bearer TOKEN",
                {"WWW-Authenticate": "Bearer"},
            )

    def _check_length(self, headers: Headers) -> None:
        length = headers.get("content-length", "0")
        if not length.isascii() or not length.isdigit():
            raise ApiError(400, "bad_request", "Content-Length is not a number")
        if int(length) > self.limits.body_bytes:
            raise self._too_large()

    def _limited(self, receive: Receive) -> Receive:
        received, complete = 0, False

        async def limited() -> Message:
            nonlocal received, complete
            if complete:  # what follows the body is the client's disconnecting, at any time
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), self.limits.body_seconds)
            except TimeoutError:
                raise ApiError(408, "too_slow", f"no data for {self.limits.body_seconds:g} s") from None
            received += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if received > self.limits.body_bytes:
                raise self._too_large()
            return message

        return limited

    def _too_large(self) -> ApiError:
        return ApiError(413, "too_large", f"the request is over the limit of {self.limits.body_bytes} bytes")


def _is_plain(text: str) -> bool:
    """Whether urlsplit can be trusted with a header: visible ASCII without a user part or odd brackets."""
    if not text.isascii() or not text.isprintable() or any(character in text for character in "@ \\?#"):
        return False
    try:
        urlsplit(text if "//" in text else f"//{text}")
    except ValueError:
        return False
    return True


def _is_address(name: str) -> bool:
    """IP addresses cannot be rebound to another machine by DNS, so any of ours may be used."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
