"""One thread computes, a bounded number of requests waits for it, and nobody waits for a client that left."""

import asyncio
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from fastapi import Request

from ccfpse.server.errors import ApiError
from ccfpse.server.metrics import Metrics

T = TypeVar("T")


@dataclass(frozen=True)
class Timed(Generic[T]):
    """A result, how long it waited for its turn, and how long it took."""

    value: T
    queue_seconds: float
    compute_seconds: float


class Worker:
    """Runs functions one after another in one thread; at most `limit` are waiting or running."""

    def __init__(self, limit: int, metrics: Metrics):
        self.limit = limit
        self._metrics = metrics
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ccfpse-worker")
        self._lock = threading.Lock()
        self._pending = 0
        self._mean_seconds = 1.0

    @property
    def pending(self) -> int:
        """Number of requests that wait or are computed now."""
        return self._pending

    async def run(self, request: Request, function: Callable[[], T]) -> Timed[T]:
        """The function's result, computed in turn.

        A request whose client disconnects before its turn is not computed. Raises ApiError 429 when the
        queue is full.
        """
        future: asyncio.Future[Any] = asyncio.wrap_future(self._submit(function))
        gone: asyncio.Future[Any] = asyncio.create_task(_disconnected(request))
        try:
            await asyncio.wait([future, gone], return_when=asyncio.FIRST_COMPLETED)
            if future.done():
                return future.result()
            self._metrics.count("dropped_requests_total")
            raise ApiError(499, "client_gone", "the client closed the connection before the answer was ready")
        finally:
            future.cancel()
            gone.cancel()

    def close(self) -> None:
        """Finish what was accepted and end the thread."""
        self._executor.shutdown(wait=True)

    def _submit(self, function: Callable[[], T]) -> "Future[Timed[T]]":
        with self._lock:
            if self._pending >= self.limit:
                self._metrics.count("rejected_requests_total")
                seconds = max(1, math.ceil(self._pending * self._mean_seconds))
                raise ApiError(
                    429,
                    "busy",
                    f"{self._pending} requests are waiting already; try again in {seconds} s",
                    {"Retry-After": str(seconds)},
                )
            self._pending += 1
        submitted = time.perf_counter()

        def timed() -> Timed[T]:
            start = time.perf_counter()
            value = function()
            seconds = time.perf_counter() - start
            self._mean_seconds += 0.2 * (seconds - self._mean_seconds)
            self._metrics.observe("queue_seconds", start - submitted)
            self._metrics.observe("compute_seconds", seconds)
            return Timed(value, start - submitted, seconds)

        future = self._executor.submit(timed)
        future.add_done_callback(self._finished)
        return future

    def _finished(self, _: object) -> None:
        with self._lock:
            self._pending -= 1


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
