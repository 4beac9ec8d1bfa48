"""A function over all samples of a data set in threads, in order, with a progress bar.

Threads suffice: Pillow decodes, encodes and resizes outside the interpreter lock.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from rich.console import Console
from rich.progress import track

Result = TypeVar("Result")

BLOCK = 256  # samples in flight: bounds memory however long the set is


def mapped(
    function: Callable[[int], Result], count: int, description: str, *, workers: int | None, progress: bool
) -> Iterator[Result]:
    """function(0), …, function(count - 1), computed by `workers` threads (by default one per core)."""
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        results = (
            result
            for first in range(0, count, BLOCK)
            for result in pool.map(function, range(first, min(first + BLOCK, count)))
        )
        yield from track(results, description, count, disable=not progress, console=Console(stderr=True))
