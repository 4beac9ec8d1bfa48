"""Counters and histograms in the Prometheus text format."""

import bisect
import threading
from collections import defaultdict
from collections.abc import Iterator

PREFIX = "ccfpse"
BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)  # seconds

COUNTERS = {
    "requests_total": "HTTP requests answered, by method, route and status.",
    "images_total": "Photos generated, by model.",
    "rejected_requests_total": "Requests refused because the queue was full.",
    "dropped_requests_total": "Requests whose client left before the answer.",
}
HISTOGRAMS = {
    "queue_seconds": "Time a request waited for the worker.",
    "compute_seconds": "Time the worker spent on a request.",
}

ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
Labels = tuple[tuple[str, str], ...]


class Metrics:
    """What happened since the start; safe to call from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, dict[Labels, int]] = {name: defaultdict(int) for name in COUNTERS}
        self._buckets = {name: [0] * (len(BUCKETS) + 1) for name in HISTOGRAMS}
        self._sums = dict.fromkeys(HISTOGRAMS, 0.0)
        for name in ("rejected_requests_total", "dropped_requests_total"):
            self._counts[name][()] = 0

    def count(self, name: str, amount: int = 1, **labels: str) -> None:
        """Add to a counter of `COUNTERS`."""
        with self._lock:
            self._counts[name][tuple(sorted(labels.items()))] += amount

    def observe(self, name: str, seconds: float) -> None:
        """Enter a duration into a histogram of `HISTOGRAMS`."""
        with self._lock:
            self._buckets[name][bisect.bisect_left(BUCKETS, seconds)] += 1
            self._sums[name] += seconds

    def text(self, gauges: dict[str, tuple[str, float]]) -> str:
        """The exposition, version 0.0.4; `gauges` maps a name to its help text and present value."""
        with self._lock:
            lines = [*self._counter_lines(), *self._histogram_lines()]
        for name, (description, value) in gauges.items():
            lines += [*_head(name, "gauge", description), f"{PREFIX}_{name} {value:g}"]
        return "\n".join(lines) + "\n"

    def _counter_lines(self) -> Iterator[str]:
        for name, description in COUNTERS.items():
            yield from _head(name, "counter", description)
            for labels, value in sorted(self._counts[name].items()):
                yield f"{PREFIX}_{name}{_braces(labels)} {value}"

    def _histogram_lines(self) -> Iterator[str]:
        for name, description in HISTOGRAMS.items():
            yield from _head(name, "histogram", description)
            total = 0
            for bound, number in zip((*map(str, BUCKETS), "+Inf"), self._buckets[name], strict=True):
                total += number
                yield f'{PREFIX}_{name}_bucket{{le="{bound}"}} {total}'
            yield f"{PREFIX}_{name}_sum {self._sums[name]:.6f}"
            yield f"{PREFIX}_{name}_count {total}"


def _head(name: str, kind: str, description: str) -> list[str]:
    return [f"# HELP {PREFIX}_{name} {description}", f"# TYPE {PREFIX}_{name} {kind}"]


def _braces(labels: Labels) -> str:
    if not labels:
        return ""
    pairs = (f'{key}="{value.translate(ESCAPES)}"' for key, value in labels)
    return "{" + ",".join(pairs) + "}"
