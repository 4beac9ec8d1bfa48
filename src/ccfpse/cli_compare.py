"""The command compare. Imports stand inside, as in `cli`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ccfpse.cli_evaluate import show

if TYPE_CHECKING:
    from rich.table import Table

    from ccfpse.compare import Comparison


def compare(
    plan: Path,
    /,
    *,
    data: str | None = None,
    out: Path | None = None,
    overrides: Annotated[list[str], Parameter(name="--set", negative=())] = [],  # noqa: B006
    dry_run: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Train several systems on equal terms, score all by one protocol, put them side by side.

    Writes table.md, table.json and grid.png (layouts by systems) beside a folder for each run. Every fault of
    the file is told before anything trains. Run the same command again to go on where it was stopped.
    `torchrun --nproc-per-node N -m ccfpse compare …` gives each process, and GPU, runs of its own.

    Args:
        plan: YAML file: data, out, preset, images, seeds, fields (shared), systems (name: fields of its own),
            evaluation (the choices of `ccfpse evaluate`). See examples/compare-facades.yaml.
        data: the data set, instead of the file's.
        out: folder that is written to, instead of the file's.
        overrides: FIELD=VALUE, over the file's shared fields (repeatable).
        dry_run: print the plan, with what each generator costs and how far each run is; train nothing.
    """
    from ccfpse.compare.share import take_share

    share = take_share()  # before anything looks at the GPUs
    from ccfpse.compare import Comparison
    from ccfpse.compare import compare as run
    from ccfpse.settings import assignments

    comparison = Comparison.load(plan, data=data, out=out, overrides=assignments(overrides))
    if dry_run:
        show(_plan_table(comparison))
        return
    results = run(comparison, share=share)
    if results.missing:
        print(f"this share is done; {len(results.missing)} runs are other processes'", file=sys.stderr)
    else:
        print(results.markdown())
        print(f"wrote {comparison.out}/table.md, table.json and grid.png")


def _plan_table(comparison: "Comparison") -> "Table":
    from rich.table import Table

    from ccfpse.compare.check import check
    from ccfpse.compare.run import state_of

    costs = check(comparison)
    count, images = len(comparison.runs), comparison.images
    table = Table(
        "system",
        "parameters, M",
        "GMAC",
        *(f"seed {seed}" for seed in comparison.seeds),
        title=f"{count} runs of {images:,} images each ({count * images:,} in all) into {comparison.out}",
        title_justify="left",
    )
    states = {(run.system.name, run.seed): state_of(comparison, run) for run in comparison.runs}
    for name, cost in costs.items():
        own = [states[name, seed] for seed in comparison.seeds]
        table.add_row(name, f"{cost.parameters / 1e6:.2f}", f"{cost.gmac:.2f}", *own)
    return table
