"""Trains and evaluates what is missing of a comparison. What is finished is known by its files alone, so that
a comparison that was killed goes on where it stopped.
"""

import json
import platform
import statistics
import time
from pathlib import Path

import torch
from rich.console import Console

from ccfpse import evaluation
from ccfpse.checkpoint import load_content
from ccfpse.compare.check import check, fingerprint
from ccfpse.compare.cost import Cost
from ccfpse.compare.picture import draw_grid
from ccfpse.compare.plan import Comparison, Run
from ccfpse.compare.share import Share, locked
from ccfpse.compare.table import Result, Results
from ccfpse.engine import find_device
from ccfpse.evaluation import ModelImages
from ccfpse.metrics import Protocol
from ccfpse.training import loop
from ccfpse.training.report import RunFolder, save_picture, write_atomically
from ccfpse.training.unaveraged import load_images

TIMED = 7  # layouts drawn for the seconds per image, after one to warm up


def compare(plan: Comparison, *, share: Share | None = None, console: Console | None = None) -> Results:
    """Trains every system from every seed, evaluates all by one protocol, writes table and picture.

    Into `plan.out`: a folder for each run, table.md and table.json (after every run), and, when all runs are
    in, grid.png. share: the part of the runs that is this process's.

    Raises:
        ValueError: before anything trains for whatever `check` finds; later, where a run's files were changed
            from outside.
    """
    share = share or Share()
    console = (console or Console(stderr=True)) if share.rank == 0 else Console(quiet=True)
    costs = check(plan)
    plan.out.mkdir(parents=True, exist_ok=True)
    with locked(plan.out):
        if not plan.photos.exists():
            write_atomically(plan.photos, json.dumps(fingerprint(plan)).encode())
    mine = plan.runs[share.rank :: share.size]
    if any(Result.load(plan, run) is None for run in mine):
        _prepare_segmenter(plan, progress=not console.quiet)
    for number, run in enumerate(mine, 1):
        if Result.load(plan, run) is None:
            console.print(f"run {number} of {len(mine)}: {run}", style="bold", highlight=False)
            _train(plan, run, console)
            _evaluate(plan, run, progress=not console.quiet)
            _write_table(plan, costs)
    return _finish(plan, costs)


def state_of(plan: Comparison, run: Run) -> str:
    """How far a run is: new, begun, trained or evaluated."""
    if Result.load(plan, run) is not None:
        return "evaluated"
    folder = RunFolder(run.folder)
    if not folder.state.exists():
        return "new"
    return "trained" if _images_of(folder.model) == run.config.images else "begun"


def _train(plan: Comparison, run: Run, console: Console) -> None:
    model = RunFolder(run.folder).model
    if _images_of(model) != run.config.images:
        loop.train(plan.data, run.folder, run.config, console=console)
    if (seen := _images_of(model)) != run.config.images:
        raise ValueError(
            f"{model}: a model of {seen} images where training has seen {run.config.images}; delete "
            f"{run.folder} to train this run again"
        )


def _images_of(model: Path) -> int:
    """Images that a model file's network has seen; 0 where there is no file."""
    return int(load_content(model)["info"]["images"]) if model.is_file() else 0


def _evaluate(plan: Comparison, run: Run, *, progress: bool) -> None:
    chosen = plan.evaluation
    run.result.unlink(missing_ok=True)  # it is of the report that is now replaced
    system = _images(plan, run)
    protocol = system.protocol(chosen.protocol, **chosen.choices(bool(system.engine.style_dim)))
    (report,) = evaluation.run(
        system,
        plan.data,
        protocol,
        split=chosen.split,
        limit=chosen.limit,
        segmenter=chosen.segmenter,
        weights=chosen.weights_folder,
        device=str(system.engine.device),
        batch=chosen.batch,
        out=run.evaluation,
        progress=progress,
    )
    # Loaded again: of some layouts, and of some systems more, the first engine holds what it has drawn.
    seconds = _seconds_per_image(plan, _images(plan, run), protocol)
    Result(run, report, seconds, _machine(system.engine.device)).save(plan)


def _images(plan: Comparison, run: Run) -> ModelImages:
    return load_images(run.folder, not plan.evaluation.averaged, plan.evaluation.device)


def _seconds_per_image(plan: Comparison, system: ModelImages, protocol: Protocol) -> float:
    """The median over layouts that the system has not seen, from class ids to pixels, one image at a time."""
    pairs, space = evaluation.open_pairs(plan.data, plan.evaluation.split, protocol.size, protocol.resize)
    draw = system.generate(pairs, space, protocol)
    seconds = []
    for index in range(TIMED + 1):
        pair = pairs.sample(index % len(pairs))
        began = time.perf_counter()
        draw(pair, 1, protocol.seed)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[1:])


def _machine(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()} CPU, {torch.get_num_threads()} threads"


def _prepare_segmenter(plan: Comparison, *, progress: bool) -> None:
    """Trains the data's own segmenter where it is missing, once for all processes."""
    chosen = plan.evaluation
    if chosen.segmenter != "own":
        return
    protocol = chosen.of_size(plan.systems[0].config)
    _, space = evaluation.open_pairs(plan.data, chosen.split, protocol.size, protocol.resize)
    device = str(find_device(chosen.device))
    with locked(plan.out):
        evaluation.find_segmenter(
            "own", plan.data, space, protocol, weights=chosen.weights_folder, device=device, progress=progress
        )


def _write_table(plan: Comparison, costs: dict[str, Cost]) -> Results:
    with locked(plan.out):  # or a process that read fewer results might write last
        results = Results.gather(plan, costs)
        results.save(plan.out)
    return results


def _finish(plan: Comparison, costs: dict[str, Cost]) -> Results:
    results = _write_table(plan, costs)
    if not results.missing:
        with locked(plan.out):
            save_picture(plan.out / "grid.png", draw_grid(plan))
    return results
