"""The targets of the full COCO configuration, and whether the results meet them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from benchmarks import figures
from benchmarks.row import Row
from benchmarks.store import workload_of
from benchmarks.workloads import Workload

ONE = Workload("one image", "coco")
SIXTEEN = Workload("styles", "coco", styles=16)
FORWARD = Workload("training forward", "coco")
STEP = Workload("training step", "coco")
APPLY = Workload("apply", "coco")


@dataclass(frozen=True)
class Target:
    """A figure of one variant of one row that is to be at least, or at most, the goal."""

    text: str
    workload: Workload
    variant: str
    goal: float
    value: Callable[[Row, str], float | None]
    shown: str = "{:.3g}× plain"
    at_most: bool = False

    def verdict(self, value: float) -> str:
        met = value <= self.goal if self.at_most else value >= self.goal
        if met:
            return "met"
        short = value / self.goal - 1 if self.at_most else 1 - value / self.goal
        return f"missed by {100 * short:.0f} %"


def _relative(count: str) -> Callable[[Row, str], float | None]:
    return lambda row, variant: figures.relative(row, variant, count)


def _images_per_second(row: Row, variant: str) -> float | None:
    seconds = row["seconds"].get(variant)
    return None if seconds is None else 1 / seconds


PEAK, SAVED = _relative("peak_bytes"), _relative("saved_bytes")
PERCENT = "{:.0%}"
TARGETS = {
    "cpu": (
        Target("one image, float32", ONE, "fast", 1.7, figures.speedup),
        Target("one image, bfloat16", ONE, "fast bfloat16", 3.5, figures.speedup),
        Target("an image of 16 styles, float32", SIXTEEN, "fast", 15, figures.speedup),
        Target("an image of 16 styles, bfloat16", SIXTEEN, "fast bfloat16", 30, figures.speedup),
        Target("peak memory beyond weights, one image", ONE, "fast", 1 / 4, PEAK, at_most=True),
        Target("saved for backward, kernels predicted again", FORWARD, "fast kernels", 1 / 4, SAVED,
               at_most=True),
        Target("the same, norms and activations computed again, too", FORWARD, "fast selective", 1 / 4, SAVED,
               at_most=True),
        Target("the same, blocks computed again", FORWARD, "fast full", 1 / 10, SAVED, at_most=True),
        Target("training step, kernels predicted again", STEP, "fast kernels", 1.3, figures.speedup),
        Target("training step, everything kept", STEP, "fast", 1.3, figures.speedup),
    ),
    "cuda": (
        Target("one image, bfloat16: share of the matrix-product rate", ONE, "fast bfloat16", 0.5,
               figures.share_of_matmul, PERCENT),
        Target("16 styles, bfloat16: images per second", SIXTEEN, "fast bfloat16", 2000,
               _images_per_second, "{:.0f}"),
        Target("apply, float32: share of the copying rate", APPLY, "fast", 0.8,
               figures.share_of_copying, PERCENT),
        Target("apply, bfloat16: share of the copying rate", APPLY, "fast bfloat16", 0.8,
               figures.share_of_copying, PERCENT),
    ),
}  # fmt: skip


def judged(device: str, rows: Iterable[Row]) -> list[tuple[str, str, str, str, str]]:
    """Per target: text, goal, what was measured, the verdict, and for speed-ups what arithmetic would allow.

    Empty where nothing of the COCO configuration was measured. What is not measured says why.
    """
    by_workload = {workload_of(row): row for row in rows}
    lines = []
    for target in TARGETS[device]:
        row = by_workload.get(target.workload)
        value = None if row is None else target.value(row, target.variant)
        goal = ("≤ " if target.at_most else "≥ ") + target.shown.format(target.goal)
        if row is None or value is None:
            reason = (
                "not measured" if row is None else row["not_measured"].get(target.variant, "not measured")
            )
            lines.append((target.text, goal, "", reason, ""))
            continue
        limit = figures.speedup_at_matmul_rate(row, target.variant) if _is_speed(target) else None
        allowed = "" if limit is None else target.shown.format(limit)
        lines.append((target.text, goal, target.shown.format(value), target.verdict(value), allowed))
    return lines if any(workload.config == "coco" for workload in by_workload) else []


def _is_speed(target: Target) -> bool:
    return target.value is figures.speedup
