"""Peak memory, FLOPs and saved activations of one variant; on a CPU in a process of its own."""

import multiprocessing
import signal
from dataclasses import replace
from multiprocessing.connection import Connection

import torch

from benchmarks import measure
from benchmarks.workloads import DRAWING, Prepared, Workload, prepare


def counts(ready: Prepared, workload: Workload, variant: str, device: torch.device) -> dict[str, float]:
    """peak_bytes of a run beyond what is held before it; saved_bytes and flops per image.

    FLOPs are counted where variants differ in them on purpose: drawing. Elsewhere those of the plain variant
    stand for all, so that predicting or recomputing a second time is no achievement.
    """
    found: dict[str, float] = {"peak_bytes": measure.memory_beyond(ready.run, device)}
    if ready.saves:
        found["saved_bytes"] = measure.saved_bytes(ready.run) / ready.images
    if variant == "plain" or workload.name in DRAWING:
        found["flops"] = measure.flops_of(ready.run) / ready.images
    return found


def in_own_process(workload: Workload, variant: str, device: torch.device) -> dict[str, float]:
    """`counts` where nothing ran before; the process is a fork of one that only imported what is needed.

    Raises:
        RuntimeError: when that process fails.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(sender, workload, variant, device), daemon=True)
    process.start()
    sender.close()
    try:
        found: dict[str, float] = receiver.recv()
    except EOFError:
        process.join()
        raise RuntimeError(
            f"{workload.config}: {workload.name}, {variant}: the process that counts memory and FLOPs ended "
            f"with code {process.exitcode} (-9: most likely for want of memory); see above"
        ) from None
    finally:
        process.terminate()
        process.join()
    return found


def _answer(sender: Connection, workload: Workload, variant: str, device: torch.device) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that asks decides
    tiny = replace(workload, config="tiny", size=None)
    prepare(tiny, variant, device).run()  # loads what is lazy, which is no part of the peak
    sender.send(counts(prepare(workload, variant, device), workload, variant, device))
