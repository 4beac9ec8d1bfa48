"""What a run says about itself: log.jsonl, TensorBoard, the progress bar, or lines without a terminal."""

import math
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from rich.console import Console

from ccfpse.data import CorruptSample
from ccfpse.training.config import TrainConfig
from ccfpse.training.distributed import World
from ccfpse.training.report import Log, RunFolder, progress_bar, save_picture
from ccfpse.training.state import TRAINED, TrainState

POINTS = 5_000  # of each TensorBoard curve; log.jsonl has every step
LINE_EVERY_SECONDS = 60.0  # where the console is a file


class Journal:
    """Of a run from `images` on; opens its files when entered. All but the first process keep silent."""

    def __init__(
        self, folder: RunFolder, config: TrainConfig, images: int, console: Console, world: World
    ) -> None:
        self.folder, self.config, self.console, self.world = folder, config, console, world
        self._bar = progress_bar(console)
        self._task = self._bar.add_task("training", total=config.images, completed=images, note="")
        self._images = images
        self._events: Any = None
        self._log: Log | None = None
        self._spoke = time.monotonic()

    def __enter__(self) -> "Journal":
        if self.world.writes:
            self._events = events(self.folder, self._images, self.console)
            self._log = Log(self.folder.log, self._images)
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
        if self._log is not None:
            self._log.close()
        if self._events is not None:
            self._events.close()

    def record(
        self,
        state: TrainState,
        numbers: Mapping[str, float],
        rates: Mapping[str, float],
        seconds: float,
        skipped: Sequence[CorruptSample],
    ) -> None:
        """One step that ended at `state.images`: losses and norms, rates, its duration, unreadable files."""
        for error in skipped:
            self.console.print(f"skipped {error}", markup=False, highlight=False)
        if self._log is None:
            return
        values: dict[str, Any] = {
            **numbers,
            **{f"lr_{name}": rate for name, rate in rates.items()},
            **{f"{name}_skipped": state.skipped[name] for name in TRAINED},
            "unreadable": state.unreadable,
            "images_per_second": self.config.batch / seconds,
            "memory_mb": peak_memory_mb(self.world.device),
        }
        files = {"unreadable_files": [error.path for error in skipped]} if skipped else {}
        self._log.write(images=state.images, **values, **files)
        every = max(1, self.config.images // POINTS)
        if self._events is not None and state.images // every > (state.images - self.config.batch) // every:
            for name, value in values.items():
                self._events.add_scalar(name, value, state.images)
        note = " ".join(f"{name} {numbers[name]:.2f}" for name in ("gan", "d_real", "d_fake"))
        self._bar.update(self._task, completed=state.images, note=note)
        self._speak(state.images, note)

    def scores(self, images: int, values: Mapping[str, float]) -> None:
        """Numbers that are no step's: an evaluation's."""
        if self._log is not None:
            self._log.write(images=images, **values)
        if self._events is not None:
            for name, value in values.items():
                self._events.add_scalar(name, value, images)

    def flush(self) -> None:
        """Before a state is saved: a run that goes on from it has no second chance to tell TensorBoard."""
        if self._events is not None:
            self._events.flush()

    def picture(self, grid: Image.Image, images: int) -> None:
        """A sample grid, as a file and for TensorBoard."""
        save_picture(self.folder.samples / f"{images:08d}.png", grid)
        if self._events is not None:
            self._events.add_image("samples", np.asarray(grid), images, dataformats="HWC")

    def _speak(self, images: int, note: str) -> None:
        if self.console.is_terminal or time.monotonic() - self._spoke < LINE_EVERY_SECONDS:
            return
        self._spoke = time.monotonic()
        left = self._bar.tasks[0].time_remaining
        remaining = f", {left / 3600:.1f} h left" if left is not None else ""
        self.console.print(f"{images:,} of {self.config.images:,} images{remaining}: {note}", highlight=False)


def events(folder: RunFolder, images: int, console: Console) -> Any:
    """TensorBoard's writer, what lies past `images` being dropped; None, with a note, where it is missing."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        console.print('no TensorBoard events (pip install "ccfpse[train]"); log.jsonl holds every number')
        return None
    return SummaryWriter(str(folder.events), purge_step=images + 1)


def peak_memory_mb(device: torch.device) -> float:
    """Of this process: the GPU's allocated memory, or the resident set on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    try:
        import resource
    except ImportError:  # Windows
        return math.nan
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS, else kilobytes
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
