"""Several processes that train one model, as `torchrun` starts them; one process is a world of its own."""

import inspect
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from ccfpse.training.batch_norm import synchronise
from ccfpse.training.steps import Networks
from ccfpse.training.stopping import Stopped

T = TypeVar("T")

PATIENCE = timedelta(hours=1)  # the first process saves, draws and measures while the others wait
CPU = torch.device("cpu")
SHARED_FOLDER = "the run's folder must be one that all hosts share"


@dataclass(frozen=True)
class World:
    """This process among those of the run; the first one (rank 0) writes, the first of a host (local rank 0)
    downloads.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = CPU
    local_rank: int = 0

    @property
    def writes(self) -> bool:
        return self.rank == 0

    def share(self, batch: int, parts: int) -> int:
        """How many images of a batch are this process's; ValueError where it cannot be shared equally."""
        if batch % (self.size * parts):
            raise ValueError(
                f"a batch of {batch} cannot be shared by {self.size} processes in {parts} parts each; "
                f"make batch a multiple of {self.size * parts}"
            )
        return batch // self.size

    def wait(self) -> None:
        """Until all processes have come here."""
        if self.size > 1:
            dist.barrier()

    def mean(self, values: Mapping[str, torch.Tensor | float]) -> dict[str, float]:
        """Numbers averaged over the processes, in one exchange; all must give the same names."""
        scalars = (torch.as_tensor(v, dtype=torch.float32, device=self.device) for v in values.values())
        stacked = torch.stack(list(scalars))
        if self.size > 1:
            dist.all_reduce(stacked)
        return dict(zip(values, (stacked / self.size).tolist(), strict=True))

    def gather(self, items: Sequence[T]) -> list[T]:
        """Everything that the processes hold, in the order of their ranks."""
        if self.size == 1:
            return list(items)
        held: list[Sequence[T]] = [[]] * self.size
        dist.all_gather_object(held, items)
        return [item for part in held for item in part]

    def require_same(self, number: int, what: str) -> None:
        """ValueError where a number differs between the processes."""
        numbers = self.gather([number])
        if len(set(numbers)) > 1:
            raise ValueError(f"{what} differ between the processes ({numbers}); {SHARED_FOLDER}")

    def replicate(self, networks: Networks) -> Networks:
        """The networks with gradients averaged and batch norm taken over all processes."""
        if self.size == 1:
            return networks
        for network in networks.named.values():
            synchronise(network)
        replicas = {name: self._replica(network) for name, network in networks.named.items()}
        return Networks(replicas["generator"], replicas["discriminator"], replicas.get("encoder"))

    def _replica(self, network: nn.Module) -> nn.Module:
        # Buffers need no exchange: batch norm's are computed together, spectral norm's follow from weights.
        devices = [self.device] if self.device.type == "cuda" else None
        options: dict[str, Any] = without_sync(DistributedDataParallel)
        return DistributedDataParallel(network, device_ids=devices, **options)


def without_sync(wrapper: type) -> dict[str, bool]:
    """The option that leaves buffers alone; until 2.12 PyTorch called it otherwise."""
    new = "forward_sync_buffers"
    known = inspect.signature(wrapper).parameters
    return {new if new in known else "broadcast_buffers": False}


@contextmanager
def gradients_kept_apart(networks: Networks, apart: bool) -> Iterator[None]:
    """Lets gradients add up within each process, without an exchange, where `apart`."""
    with ExitStack() as stack:
        for network in networks.named.values():
            if apart and isinstance(network, DistributedDataParallel):
                stack.enter_context(network.no_sync())
        yield


@contextmanager
def joined(device: str) -> Iterator[World]:
    """Joins the processes that torchrun started; ValueError where another one is lost on the way."""
    size = int(os.environ.get("WORLD_SIZE", "1")) if "MASTER_ADDR" in os.environ else 1
    if size == 1:
        yield World(device=find_device(device, 0))
        return
    rank, local_rank = _launched("RANK"), _launched("LOCAL_RANK")
    here = find_device(device, local_rank)
    if here.type == "cuda":
        _refuse_one_gpu_for_all(device)
        torch.cuda.set_device(here)
    try:
        dist.init_process_group("nccl" if here.type == "cuda" else "gloo", timeout=PATIENCE)
    except RuntimeError as error:
        raise ValueError(
            f"process {rank} of {size} could not join the others ({_in_short(error)})"
        ) from error
    try:
        yield World(rank, size, here, local_rank)
    except RuntimeError as error:
        if isinstance(error, dist.DistError) or "gloo" in str(error):
            raise ValueError(
                f"process {rank} of {size}: another process of the run was lost, or could not be reached "
                f"({_in_short(error)}); if it was lost, its own message says why. Start the same command "
                "again: it goes on from the last state on disk"
            ) from error
        raise
    except Stopped:  # all of them are, after a last state has been written
        _leave()
        raise
    _leave()


def _launched(name: str) -> int:
    """A number that torchrun tells every process."""
    if not os.environ.get(name, "").isdigit():
        raise ValueError(
            f"MASTER_ADDR and WORLD_SIZE are set, but {name} is not; start the processes by torchrun, or "
            "unset WORLD_SIZE for one process"
        )
    return int(os.environ[name])


def _refuse_one_gpu_for_all(device: str) -> None:
    if ":" in device and int(os.environ.get("LOCAL_WORLD_SIZE", "1")) > 1:
        raise ValueError(
            f"compute.device is {device!r}, one GPU for all processes of this host; cuda gives each its own"
        )


def _leave() -> None:
    dist.barrier()  # nobody leaves while the first one still writes
    dist.destroy_process_group()


def find_device(name: str, local_rank: int) -> torch.device:
    """The device of a process of this host; "auto" is CUDA where there is one."""
    cuda = torch.cuda.is_available()
    if name == "auto":
        name = "cuda" if cuda else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f"compute.device is {name!r}, expected auto, cpu, cuda or cuda:0, …") from None
    if device.type != "cuda":
        return _usable(device)
    index = local_rank if device.index is None else device.index
    if not cuda or index >= torch.cuda.device_count():
        raise ValueError(
            f"compute.device {name!r} needs GPU {index}, but PyTorch can use {torch.cuda.device_count()} "
            "here; start fewer processes or set compute.device=cpu"
        )
    return torch.device("cuda", index)


def _usable(device: torch.device) -> torch.device:
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, ImportError) as error:
        raise ValueError(f"compute.device {str(device)!r} cannot be used here: {_in_short(error)}") from None
    return device


def _in_short(error: BaseException) -> str:
    """The first line, and the last one, where NCCL puts the reason."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return " … ".join(line.strip()[:160] for line in dict.fromkeys([lines[0], lines[-1]]))
