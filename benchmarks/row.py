"""One row of the results: what was measured of one workload in all its variants, as JSON holds it."""

import gc
import statistics
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

import torch

from benchmarks.count import counts
from benchmarks.rounds import Effort, take_turns
from benchmarks.workloads import CONFIGS, Workload, prepare, unsupported, variants

LONGEST_PLAIN_SECONDS = 60.0  # on a CPU; beyond it a plain image of a scaling point is not waited for
Row = dict[str, Any]


def timed(
    workload: Workload,
    device: torch.device,
    effort: Effort,
    rates: dict[str, float | None],
    base: Row | None = None,
) -> Row:
    """Median seconds per image of every variant, in turns, or why a variant is not measured.

    rates: the machine's in this run; shares are to be taken of these. base: the row of one image in the
    configuration's own size, where it is known.
    """
    reasons = {
        variant: unsupported(variant, workload, device) or too_slow(variant, workload, device, base)
        for variant in variants(workload)
    }
    measured = [variant for variant, reason in reasons.items() if reason is None]
    for variant in measured:
        prepare(replace(workload, config="tiny", size=None), variant, device).run()  # loads what is lazy
    ready = {variant: prepare(workload, variant, device) for variant in measured}
    times, first_counts = take_turns({variant: one.run for variant, one in ready.items()}, device, effort)
    row = asdict(workload) | {
        "seconds": {v: statistics.median(times[v]) / one.images for v, one in ready.items()},
        "times": times,
        "images": {variant: one.images for variant, one in ready.items()},
        "first_round_counts": first_counts,
        "not_measured": {variant: reason for variant, reason in reasons.items() if reason},
        "moved_bytes": {v: one.moved_bytes for v, one in ready.items() if one.moved_bytes},
        "counts": {},
        "rates": rates,
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    if device.type == "cuda":  # its allocator counts exactly, whatever ran before
        row["counts"] = {variant: counts(one, workload, variant, device) for variant, one in ready.items()}
    ready.clear()
    gc.collect()
    return row


def too_slow(variant: str, workload: Workload, device: torch.device, base: Row | None) -> str | None:
    """Why a plain variant is not waited for: by the time of one image in another size."""
    if variant != "plain" or device.type != "cpu" or workload.size is None or base is None:
        return None
    height, width = CONFIGS[workload.config].size
    expected = base["seconds"]["plain"] * workload.size**2 / (height * width)
    if expected <= LONGEST_PLAIN_SECONDS:
        return None
    return (
        f"by its time at {height}×{width} an image takes some {expected:.0f} s; "
        f"beyond {LONGEST_PLAIN_SECONDS:.0f} s plain is not waited for"
    )
