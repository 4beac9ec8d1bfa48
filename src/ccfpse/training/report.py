"""What a run writes and shows: its folder, the log, pictures, the progress bar."""

import errno
import io
import itertools
import json
import math
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from ccfpse.checkpoint import load_content
from ccfpse.settings import as_text, fields
from ccfpse.training.config import TrainConfig

# What may differ from the saved config when a run is resumed: nothing that a step depends on, save the
# length.
CHANGEABLE = {
    "images",
    "save_every",
    "sample_every",
    "data.workers",
    "data.verify",
    "attribution",
    "loss.vgg",
    "compute.device",
    "compute.checkpointing",
    "compute.precision",  # these two to get a run that blew up going again
    "optimiser.clip",
    "evaluate_every",
    "evaluate_images",
    "evaluate_segmenter",
    "evaluate_weights",
}


# What network file systems answer that are mounted without locks.
NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}


@dataclass(frozen=True)
class RunFolder:
    """Names of the files in a run's folder."""

    root: Path

    @property
    def config(self) -> Path:
        return self.root / "config.json"

    @property
    def log(self) -> Path:
        return self.root / "log.jsonl"

    @property
    def samples(self) -> Path:
        return self.root / "samples"

    @property
    def evaluations(self) -> Path:
        return self.root / "evaluations"

    @property
    def state(self) -> Path:
        return self.root / "state.safetensors"

    @property
    def events(self) -> Path:
        return self.root / "tensorboard"

    @property
    def lock(self) -> Path:
        return self.root / ".lock"

    @property
    def model(self) -> Path:
        return self.root / "model.safetensors"

    @property
    def best(self) -> Path:
        return self.root / "best.safetensors"

    @property
    def candidate(self) -> Path:
        return self.root / ".candidate.safetensors"

    @classmethod
    def open(cls, root: str | Path, config: TrainConfig) -> "RunFolder":
        """A folder for a new run, or one whose run has this config.

        Raises:
            ValueError: naming the fields that differ from those the run began with.
        """
        folder = cls(Path(root))
        if folder.config.exists() and folder.state.exists():
            begun = {name: value for name, _, value, _ in fields(TrainConfig.load(folder.config))}
            now = {name: value for name, _, value, _ in fields(config)}
            if now["data.instances"] is not None and begun["data.instances"] is None:
                begun["data.instances"] = folder.instances()
            changed = [n for n in now if n not in CHANGEABLE and (n not in begun or now[n] != begun[n])]
            if changed:
                listed = ", ".join(
                    f"{n} is {as_text(now[n])} but was {as_text(begun.get(n))}" for n in changed
                )
                raise ValueError(
                    f"{folder.root}: {listed}; give the run's own values to resume it, or another --out"
                )
        return folder

    def instances(self) -> bool | None:
        """Whether the run to go on with reads instances; None where there is none, or it does not tell."""
        used: bool | None = self._saved().get("config", {}).get("data", {}).get("instances")
        return used

    def require_longer(self, config: TrainConfig) -> None:
        """ValueError where the run to go on with has come to its end."""
        seen = self._saved().get("images", 0)
        if seen >= config.images + config.batch:  # a last batch may reach beyond the length
            raise ValueError(
                f"{self.root}: has seen {seen:,} images already; give --images more than that, "
                "or another --out"
            )

    def _saved(self) -> dict[str, Any]:
        return load_content(self.state) if self.state.exists() else {}

    def claim(self, config: TrainConfig) -> Path | None:
        """Writes the config. A model without a state to go on from is not this run's to replace: it is put
        aside with what was told of it, and its new name returned.
        """
        write_atomically(self.config, json.dumps(config.to_dict(), indent=2).encode())
        if self.state.exists():
            return None
        _put_aside(self.best)  # its scores are another run's
        if (aside := _put_aside(self.model)) is not None:
            for path in (self.log, self.events, self.samples, self.evaluations):
                _put_aside(path)
        return aside

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Makes the folder and keeps other processes out while this one trains; the lock goes with the
        process, however it ends.

        Raises:
            ValueError: where another process trains here.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        try:
            import fcntl
        except ImportError:  # Windows
            yield
            return
        with self.lock.open("a+") as file:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError):
                file.seek(0)
                raise ValueError(
                    f"{self.root}: another process trains here ({file.read().strip()}); wait for it, "
                    "stop it, or give another --out"
                ) from None
            except OSError as error:
                if error.errno not in NO_LOCKS:
                    raise
                print(
                    f"note: {self.root}: no locks here, let no other process train into it", file=sys.stderr
                )
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
            file.flush()
            for leftover in [*self.root.glob(".*.tmp"), self.candidate]:  # of a run that was killed
                leftover.unlink(missing_ok=True)
            yield


def _put_aside(path: Path) -> Path | None:
    """Gives a file or folder, if it is there, a name that is free, and returns that."""
    if not path.exists():
        return None
    names = (path.with_stem(f"{path.stem}-{index}") for index in itertools.count(1))
    aside = next(name for name in names if not name.exists())
    path.rename(aside)
    return aside


class Log:
    """`log.jsonl`, one line per step; lines past the state a run resumes from are dropped."""

    def __init__(self, path: Path, images: int) -> None:
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        kept = [line for line in lines if line.endswith("\n") and json.loads(line)["images"] <= images]
        if len(kept) < len(lines):
            write_atomically(path, "".join(kept).encode())
        self._file = path.open("a")

    def write(self, **values: Any) -> None:
        rounded = {k: _rounded(v) if isinstance(v, float) else v for k, v in values.items()}
        self._file.write(json.dumps(rounded) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def _rounded(value: float) -> float | None:
    """Six digits; JSON has no nan."""
    return float(f"{value:.6g}") if math.isfinite(value) else None


def write_atomically(path: Path, content: bytes) -> None:
    """Under a temporary name first, then moved."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(content)
    os.replace(temporary, path)


def save_picture(path: Path, picture: Image.Image) -> None:
    """A PNG, never half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = io.BytesIO()
    picture.save(content, format="PNG")
    write_atomically(path, content.getvalue())


def progress_bar(console: Console) -> Progress:
    """Images seen, time spent and left, and the losses."""
    return Progress(
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
        speed_estimate_period=600,  # a step may take half a minute
    )
