"""Taking turns: every variant of a row once per round, within a budget of seconds."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from benchmarks.measure import seconds_of


@dataclass(frozen=True)
class Effort:
    """How long a row is repeated.

    seconds: counted rounds end before they exceed this. least, most: rounds in any case, and at most.
    first_counts_beyond: a first round longer than this many seconds counts, too.
    """

    seconds: float
    least: int = 2
    most: int = 20
    first_counts_beyond: float = math.inf


def take_turns(
    runs: dict[str, Callable[[], object]], device: torch.device, effort: Effort
) -> tuple[dict[str, list[float]], bool]:
    """Seconds of each run in each counted round, and whether the first round is among them.

    The last run of `runs` goes first in every round: plain is named first and comes last. The first round
    warms up (kernels are generated and chosen, memory is touched, optimisers make their state) and does not
    count, unless it alone took longer than `effort.first_counts_beyond`: repeating minutes for the sake of a
    second helps nobody. What the variants share is then paid by those in front of plain, so that the ratio
    errs against the fast ones. Lazily loaded code is the caller's to call before.
    """
    order = list(reversed(runs))

    def one_round() -> dict[str, float]:
        return {name: seconds_of(runs[name], device) for name in order}

    first = one_round()
    first_counts = _total(first) > effort.first_counts_beyond
    rounds = [first] if first_counts else []
    used, last = sum(map(_total, rounds)), _total(first)
    while len(rounds) < effort.least or (len(rounds) < effort.most and used + last <= effort.seconds):
        rounds.append(one_round())
        last = _total(rounds[-1])
        used += last
    return {name: [seconds[name] for seconds in rounds] for name in runs}, first_counts


def _total(seconds: dict[str, float]) -> float:
    return sum(seconds.values())
