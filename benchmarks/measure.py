"""How it is measured: times, the machine's own rates, peak memory, FLOPs, saved activations."""

import resource
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from ccfpse import ops
from ccfpse.inference import arithmetic


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_of(run: Callable[[], object], device: torch.device) -> float:
    synchronise(device)
    began = time.perf_counter()
    run()
    synchronise(device)
    return time.perf_counter() - began


def machine_rates(device: torch.device, *, quick: bool) -> dict[str, float | None]:
    """GFLOP/s of square matrix products by dtype, and GB/s of copying (bytes read and written)."""
    size = 256 if quick else (8192 if device.type == "cuda" else 2048)
    rates: dict[str, float | None] = {}
    for dtype in (torch.float32, torch.bfloat16):
        name = str(dtype).removeprefix("torch.")
        if arithmetic(device, dtype) != dtype:
            rates[name] = None
            continue
        a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
        rates[name] = 2 * size**3 / _best(lambda a=a, b=b: a @ b, device) / 1e9
    source = torch.empty((16 if quick else 512) << 18, device=device)
    target = torch.empty_like(source)
    rates["copy"] = 2 * source.nbytes / _best(lambda: target.copy_(source), device) / 1e9
    return rates


def _best(run: Callable[[], object], device: torch.device) -> float:
    run()
    return statistics.median(seconds_of(run, device) for _ in range(7))


def memory_beyond(run: Callable[[], object], device: torch.device) -> int:
    """Bytes that one run takes at its peak beyond what is held before it (weights and inputs)."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        run()
        synchronise(device)
        return torch.cuda.max_memory_allocated(device) - before
    before = _status("VmRSS")
    clear = Path("/proc/self/clear_refs")
    if clear.exists():
        clear.write_text("5")  # the high-water mark starts anew
    run()
    return max(0, _status("VmHWM") - before)


def _status(field: str) -> int:
    """A line of /proc/self/status in bytes; elsewhere the largest size so far."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def flops_of(run: Callable[[], object]) -> int:
    """FLOPs of convolutions and matrix products in one run.

    Our own operators are opaque to the counter, so they run by the reference: what a backward pass predicts
    again is not counted. The fast form is made of stock operators and counts what it does.
    """
    counter = FlopCounterMode(display=False)
    with ops.use_backend("reference"), counter:
        run()
    return counter.get_total_flops()


def saved_bytes(run: Callable[[], object]) -> int:
    """Bytes that are alive after a forward pass because its backward pass needs them, however they are kept:
    storages that the pass made and its result's graph holds, each once. Weights and inputs were there before.
    """
    made: dict[int, tuple[StorageWeakRef, int]] = {}
    there_before: dict[int, StorageWeakRef] = {}  # held, so that no address is used twice

    def storages(values: object) -> Iterator[torch.UntypedStorage]:
        return (leaf.untyped_storage() for leaf in tree_leaves(values) if isinstance(leaf, torch.Tensor))

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            for storage in storages((args, kwargs)):
                if storage._cdata not in made:
                    there_before[storage._cdata] = StorageWeakRef(storage)
            results = function(*args, **(kwargs or {}))
            for storage in storages(results):
                if storage._cdata not in there_before:
                    reference = StorageWeakRef(storage)
                    made[reference.cdata] = (reference, storage.nbytes())
            return results

    with Watch():
        result = run()
    kept = sum(nbytes for reference, nbytes in made.values() if not reference.expired())
    del result
    return kept
