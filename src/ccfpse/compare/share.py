"""Which runs are this process's under torchrun, and how several processes write one folder."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass(frozen=True)
class Share:
    """Every `size`-th run from the `rank`-th on."""

    rank: int = 0
    size: int = 1


def take_share() -> Share:
    """The share of a process that torchrun started, which from now on sees one GPU and trains alone.

    Call it before CUDA is used. Raises ValueError for more processes on this host than it has GPUs.
    """
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
    if not all(name in os.environ for name in names):
        return Share()
    rank, size, local = (int(os.environ.pop(name)) for name in names)
    gpus = torch.cuda.device_count()
    if gpus and local >= gpus:
        raise ValueError(
            f"process {local} of this host has no GPU of its own: there are {gpus}; start {gpus}"
        )
    if gpus:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(gpus)))
        os.environ["CUDA_VISIBLE_DEVICES"] = visible.split(",")[local]
    return Share(rank, size)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One process at a time; the lock goes with the process, however it ends."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    with (folder / ".lock").open("a") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        yield
