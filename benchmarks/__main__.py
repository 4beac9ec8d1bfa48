"""Plain against fast, in one run on one machine: `python -m benchmarks` from the repository's root.

    python -m benchmarks                  everything; writes table and plot into docs/
    python -m benchmarks --device cuda    the operators' tests on the GPU first, then everything
    python -m benchmarks --only "one image"
    python -m benchmarks --quick          tiny sizes: whether it works, not how fast it is

Every finished row is stored in OUT/performance-DEVICE.json; the same command goes on with what is missing.
Stored rows count only on the same machine, with the same torch and the same sources. Only complete runs write
into docs/.
"""

import argparse
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks import measure, report
from benchmarks.count import in_own_process
from benchmarks.plan import plan, table
from benchmarks.progress import Progress, say
from benchmarks.rounds import Effort
from benchmarks.row import Row, timed
from benchmarks.store import ROOT, Store, source_hash
from benchmarks.workloads import Workload
from ccfpse.engine import find_device
from ccfpse.training.report import write_atomically

DOCUMENT = ROOT / "docs" / "performance.md"
STOPPED = 130  # as a shell reports Ctrl-C


def main() -> None:
    arguments = _arguments()
    device, quick = arguments.device, arguments.quick
    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = True  # as convolutions do by default: rates are comparable
        tests = ["-m", "pytest", "-q", "-m", "gpu", "tests/ops", "tests/inference"]
        if subprocess.run([sys.executable, *tests], cwd=ROOT, check=False).returncode:
            raise SystemExit("The operators' tests fail on this GPU (see above); nothing is measured.")
    folder = arguments.out or ROOT / "build" / ("benchmarks-quick" if quick else "benchmarks")
    store = Store(folder / f"performance-{device.type}.json", report.machine(device), source_hash())
    if not (arguments.fresh or quick):
        say(store.read())
    wanted = plan(["tiny"] if quick else ["demo", "coco"], arguments.only)
    try:
        measure_missing(wanted, store, device, _effort(arguments, device), quick=quick)
    except KeyboardInterrupt:
        done = sum(finished(workload, store) for workload in wanted)
        say(
            f"\nStopped; {done} of {len(wanted)} rows are in {store.path}. "
            "The same command goes on with the rest."
        )
        raise SystemExit(STOPPED) from None
    results = store.results()
    print(report.as_text(results, device.type))
    report.publish(results, folder, device.type)
    if not quick and arguments.only is None:
        write_atomically(DOCUMENT.with_name(store.path.name), store.path.read_bytes())
        report.publish(results, DOCUMENT.parent, device.type)
        report.insert(results, DOCUMENT, device.type)
        say(f"Written into {DOCUMENT}")


def measure_missing(
    wanted: list[Workload], store: Store, device: torch.device, effort: Effort, *, quick: bool
) -> None:
    """Measures what is not in the store; what is finished is in it at once."""
    missing = [workload for workload in wanted if not finished(workload, store)]
    if not missing:
        return
    progress = Progress(missing, guess_seconds=2 * effort.seconds or 5.0)
    rates = measure.machine_rates(device, quick=quick)
    for workload in missing:
        progress.begin(workload)
        if workload not in store.rows:
            counts_too = workload in table(workload.config)
            own = effort if counts_too else replace(effort, seconds=effort.seconds / 2)
            base = store.rows.get(Workload("one image", workload.config))
            store.put(timed(workload, device, own, rates, base))
        row = store.rows[workload]
        for variant in uncounted(workload, row):
            progress.part(f"memory and FLOPs of {variant}")
            row["counts"][variant] = in_own_process(workload, variant, device)
            store.put(row)
        progress.end(workload)


def finished(workload: Workload, store: Store) -> bool:
    row = store.rows.get(workload)
    return row is not None and not uncounted(workload, row)


def uncounted(workload: Workload, row: Row) -> list[str]:
    """Variants whose memory and FLOPs are to be counted yet; points of the plot alone are only timed."""
    if workload not in table(workload.config):
        return []
    return [variant for variant in row["seconds"] if variant not in row["counts"]]


def _effort(arguments: argparse.Namespace, device: torch.device) -> Effort:
    if arguments.quick:
        return Effort(0, least=1, first_counts_beyond=0)
    seconds = arguments.seconds_per_row
    if device.type == "cuda":  # its first round compiles kernels and never counts
        return Effort(2.0 if seconds is None else seconds, most=50, first_counts_beyond=math.inf)
    seconds = 60.0 if seconds is None else seconds
    return Effort(seconds, first_counts_beyond=max(60.0, seconds))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, one round, always anew")
    names = [*(workload.name for workload in table("tiny")), "scaling"]
    parser.add_argument("--only", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--out", type=Path, help="folder for the results; default build/benchmarks[-quick]")
    parser.add_argument("--fresh", action="store_true", help="measure stored rows anew")
    parser.add_argument(
        "--seconds-per-row",
        type=float,
        help="rounds beyond the second only within so many seconds; default 60, on a GPU 2; "
        "half of it for points that are in the plot alone",
    )
    arguments = parser.parse_args()
    if arguments.seconds_per_row is not None and arguments.seconds_per_row < 0:
        parser.error(f"argument --seconds-per-row: {arguments.seconds_per_row} is less than 0")
    if arguments.out is not None and arguments.out.exists() and not arguments.out.is_dir():
        parser.error(f"argument --out: {arguments.out} is a file; give a folder")
    try:
        arguments.device = find_device(arguments.device)
    except ValueError as error:
        parser.error(f"argument --device: {error}")
    return arguments


if __name__ == "__main__":
    main()
