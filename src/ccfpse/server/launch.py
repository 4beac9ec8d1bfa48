"""Load models, refuse unsafe settings, serve until told to stop, then finish what was begun."""

import ipaddress
import signal
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import quote

from ccfpse.server.limits import Limits

DEFAULT_PORT = 7860
HERE = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # hosts that mean all addresses: how this machine reaches them


def run(
    models: Sequence[str] = (),
    *,
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    token: str | None = None,
    insecure: bool = False,
    allowed_hosts: Iterable[str] = (),
    device: str = "auto",
    dtype: str = "auto",
    limits: Limits | None = None,
    on_ready: Callable[[str], None] = print,
) -> None:
    """Serve the studio page and its API until SIGTERM or Ctrl-C; requests in flight are answered first.

    models: names of bundled models or paths, the first is the default; none: all bundled models. host, port:
    where to listen; port 0 takes a free one. token: asked of every API request; needed to listen anywhere
    but on this machine's loopback unless insecure. allowed_hosts: further names that browsers may use for
    this server (IP addresses, localhost and host itself always work). on_ready: called with a sentence that
    names the address once the server listens. Raises ValueError for unsafe or impossible settings,
    ImportError where the studio extra is not installed.
    """
    check_binding(host, token, insecure)
    try:
        import fastapi  # noqa: F401
        import python_multipart  # noqa: F401
        import uvicorn
    except ImportError as error:
        raise ImportError(f'the studio needs {error.name}; run pip install "ccfpse[studio]"') from None

    from ccfpse.engine import Engine
    from ccfpse.model_files import bundled_models
    from ccfpse.server.app import create_app

    names = list(models) or bundled_models()
    if not names:
        raise ValueError("no model given and none bundled; pass --model with the path of a .safetensors file")
    listening = _listen(host, port)
    with listening:
        engines = [Engine.load(name, device=device, dtype=dtype) for name in names]
        app = create_app(engines, limits=limits, token=token, hosts=(host, *allowed_hosts))
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            ws="none",
            server_header=False,
            timeout_graceful_shutdown=(limits or Limits()).drain_seconds,
        )
        on_ready(_greeting(host, listening.getsockname()[1], token))
        with _quiet_exit():
            uvicorn.Server(config).run(sockets=[listening])


def check_binding(host: str, token: str | None, insecure: bool) -> None:
    """ValueError for an address that others can reach without a token, and for a token that is too short."""
    if token is not None and (
        len(token) < 8 or not token.isascii() or not token.isprintable() or " " in token
    ):
        raise ValueError("the token must be at least 8 visible ASCII characters without spaces")
    if not (token or insecure or is_loopback(host)):
        raise ValueError(
            f"{host} can be reached from other machines; set a token (--token), or say --insecure to let "
            "everybody who can reach it use it"
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket; taken before models are loaded, so that a port in use is told at once."""
    if not 0 <= port <= 65535:
        raise ValueError(f"port must lie in 0..65535, got {port}")
    bare = host.strip("[]")
    try:
        family, _, _, _, address = socket.getaddrinfo(bare, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=128)
    except OSError as error:
        reason = error.strerror.partition(" (while")[0] if error.strerror else error
        raise ValueError(f"cannot listen on {host}:{port} ({reason}); try another port") from None


def _greeting(host: str, port: int, token: str | None) -> str:
    bare = host.strip("[]")
    shown = HERE.get(bare, f"[{bare}]" if ":" in bare else bare)
    # The part after # never leaves the browser, so the token does not end up in logs.
    fragment = f"#token={quote(token, safe='')}" if token else ""
    elsewhere = "elsewhere by this machine's address; " if bare in HERE else ""
    return f"Studio: http://{shown}:{port}/{fragment}  ({elsewhere}Ctrl-C ends it)"


@contextmanager
def _quiet_exit() -> Iterator[None]:
    """uvicorn raises the signals it caught again once it has drained; they have done their work by then."""
    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: None) for number in signals]
    try:
        yield
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)
