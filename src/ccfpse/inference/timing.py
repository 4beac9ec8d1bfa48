"""Where the seconds of a call went."""

import time
from dataclasses import dataclass, field

import torch


@dataclass(frozen=True)
class Timings:
    """Seconds of one call by stage, in the order of the stages.

    waiting: for the calls of other threads. layout: look-ups and the layout pyramid. kernels: predicting
    kernels, gates and SPADE maps. image: what depends on the style. pixels: to uint8.
    layouts, cached_layouts: how many layouts were drawn, and how many of them were found in the cache.
    """

    waiting: float = 0.0
    layout: float = 0.0
    kernels: float = 0.0
    image: float = 0.0
    pixels: float = 0.0
    layouts: int = 0
    cached_layouts: int = 0

    @property
    def total(self) -> float:
        return self.waiting + self.layout + self.kernels + self.image + self.pixels


@dataclass
class Stopwatch:
    """Splits time into laps. On a GPU the laps are measured there, between events, and nothing is held up."""

    device: torch.device
    _laps: list[tuple[str, "float | torch.cuda.Event"]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.lap("")

    def lap(self, stage: str) -> None:
        """Ends a lap: the time since the last one belongs to `stage`."""
        now: float | torch.cuda.Event = time.perf_counter()
        if self.device.type == "cuda":
            now = torch.cuda.Event(enable_timing=True)
            now.record(torch.cuda.current_stream(self.device))
        self._laps.append((stage, now))

    def seconds(self) -> dict[str, float]:
        """Seconds by stage; waits for a GPU to finish."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        sums: dict[str, float] = {}
        for (_, start), (stage, end) in zip(self._laps, self._laps[1:], strict=False):
            if isinstance(start, float) or isinstance(end, float):
                passed = float(end) - float(start)  # type: ignore[arg-type]
            else:
                passed = start.elapsed_time(end) / 1000
            sums[stage] = sums.get(stage, 0.0) + passed
        return sums
