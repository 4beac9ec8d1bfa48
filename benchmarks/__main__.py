"""Plain against fast, in one run on one machine: `python -m benchmarks` from the repository's root.

    python -m benchmarks                  everything; writes the table into docs/performance.md
    python -m benchmarks --device cuda    the operators' tests on the GPU first, then everything
    python -m benchmarks --only "one image"
    python -m benchmarks --quick          tiny sizes: whether it works, not how fast it is

Only a complete run writes into docs/; the others write beside build/benchmarks.json.
"""

import argparse
import json
import statistics
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import torch

from benchmarks import measure, report
from benchmarks.workloads import Workload, prepare, unsupported, variants

ROOT = Path(__file__).resolve().parents[1]


def table(config: str) -> list[Workload]:
    """The rows of one configuration."""
    return [
        Workload("apply", config),
        Workload("op forward", config),
        Workload("op forward+backward", config),
        Workload("one image", config),
        Workload("cached layout", config),
        Workload("styles", config, styles=16),
        Workload("training forward", config),
        Workload("training step", config),
    ]


def scaling(config: str, *, quick: bool) -> list[Workload]:
    """The points of the plot."""
    sizes, styles = ((64, 128), (1, 2)) if quick else ((128, 256, 512, 1024), (1, 4, 16, 64))
    return [Workload("one image", config, size=size) for size in sizes] + [
        Workload("styles", config, styles=count) for count in styles
    ]


def timed(workload: Workload, device: torch.device, *, limit_seconds: float, quick: bool) -> dict:
    """Median seconds per image of every variant, interleaved, or why a variant is not measured."""
    reasons = {variant: unsupported(variant, workload, device) for variant in variants(workload)}
    ready = {v: prepare(workload, v, device) for v, reason in reasons.items() if reason is None}
    times = measure.interleaved(
        {variant: one.run for variant, one in ready.items()},
        device,
        least=1 if quick else 3,
        limit_seconds=0 if quick else limit_seconds,
    )
    seconds = {v: statistics.median(times[v]) / one.images for v, one in ready.items()}
    return asdict(workload) | {
        "seconds": seconds,
        "rounds": {variant: len(values) for variant, values in times.items()},
        "not_measured": {variant: reason for variant, reason in reasons.items() if reason},
        "moved_bytes": {v: one.moved_bytes for v, one in ready.items() if one.moved_bytes},
    }


def counted(workload: Workload, variant: str, device: torch.device) -> dict[str, float]:
    """Peak memory, FLOPs per image and, where it is asked for, saved activations; in a process of its own."""
    prepare(replace(workload, config="tiny", size=None), variant, device).run()  # imports what is lazy
    ready = prepare(workload, variant, device)
    found: dict[str, float] = {"peak_bytes": measure.memory_beyond(ready.run, device)}
    if ready.saves:
        found["saved_bytes"] = measure.saved_bytes(ready.run) / ready.images
    found["flops"] = measure.flops_of(ready.run) / ready.images
    return found


def in_own_process(workload: Workload, variant: str, device: str) -> dict[str, float]:
    question = json.dumps(asdict(workload) | {"variant": variant})
    command = [sys.executable, "-m", "benchmarks", "--device", device, "--count", question]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if answer.returncode:
        print(answer.stderr, file=sys.stderr)
        raise RuntimeError(f"{workload.name}, {workload.config}, {variant}: the process failed, see above")
    found: dict[str, float] = json.loads(answer.stdout.splitlines()[-1])
    return found


def run_all(device: torch.device, *, quick: bool, only: str | None) -> dict:
    limit_seconds = 2.0 if device.type == "cuda" else 20.0
    configs = ["tiny"] if quick else ["demo", "coco"]
    rows, points = [], []
    for config in configs:
        for workload in table(config):
            if only in (None, workload.name):
                print(f"{config}: {workload.name} …", file=sys.stderr, flush=True)
                row = timed(workload, device, limit_seconds=limit_seconds, quick=quick)
                row["counts"] = {v: in_own_process(workload, v, str(device)) for v in row["seconds"]}
                rows.append(row)
        for workload in scaling(config, quick=quick):
            if only in (None, "scaling"):
                print(f"{config}: {workload.size or ''} {workload.styles} …", file=sys.stderr, flush=True)
                points.append(timed(workload, device, limit_seconds=limit_seconds / 2, quick=quick))
    return {
        "machine": report.machine(device),
        "rates": measure.machine_rates(device, quick=quick),
        "rows": rows,
        "scaling": points,
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.split("\n")[0])
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, one round")
    names = [workload.name for workload in table("tiny")]
    parser.add_argument(
        "--only", choices=[*names, "scaling"], metavar="NAME", help=", ".join([*names, "scaling"])
    )
    parser.add_argument("--out", type=Path, help="folder for the results; default docs or build")
    parser.add_argument("--count", help=argparse.SUPPRESS)  # one workload, in a process of its own
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    if device.type == "cuda":  # what convolutions do by default, so that the rates are comparable
        torch.backends.cuda.matmul.allow_tf32 = True
    if arguments.count:
        question = json.loads(arguments.count)
        variant = question.pop("variant")
        print(json.dumps(counted(Workload(**question), variant, device)))
        return
    if device.type == "cuda":
        tests = ["-m", "pytest", "-q", "-m", "gpu", "tests/ops", "tests/inference"]
        subprocess.run([sys.executable, *tests], cwd=ROOT, check=True)
    results = run_all(device, quick=arguments.quick, only=arguments.only)
    print(report.as_table(results))
    complete = not arguments.quick and arguments.only is None
    out = arguments.out or ROOT / ("docs" if complete else "build")
    report.write(results, out, device.type)
    if complete:
        report.insert(results, ROOT / "docs" / "performance.md", device.type)


if __name__ == "__main__":
    main()
