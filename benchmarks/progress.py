"""Which row is measured, how many are left, and roughly how long they take."""

import statistics
import sys
import time
from collections import defaultdict

from benchmarks.workloads import Workload


class Progress:
    """Lines on stderr.

    The guess is the mean time of the finished rows of the same configuration, or `guess_seconds` before there
    is one: rough, since a training step takes longer than an operator.
    """

    def __init__(self, wanted: list[Workload], guess_seconds: float) -> None:
        self._left, self._guess, self._count = list(wanted), guess_seconds, len(wanted)
        self._took: dict[str, list[float]] = defaultdict(list)
        self._began = time.perf_counter()

    def begin(self, workload: Workload) -> None:
        self._began = time.perf_counter()
        number = self._count - len(self._left) + 1
        say(f"[{number}/{self._count}] {workload.title}: about {_words(self._seconds_left())} left")

    def part(self, text: str) -> None:
        say(f"    {text}")

    def end(self, workload: Workload) -> None:
        self._took[workload.config].append(time.perf_counter() - self._began)
        self._left.remove(workload)

    def _seconds_left(self) -> float:
        def guess(config: str) -> float:
            return statistics.mean(self._took[config]) if self._took[config] else self._guess

        return sum(guess(workload.config) for workload in self._left)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _words(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
