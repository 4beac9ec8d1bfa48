"""Comparisons end to end with tiny systems: the table, the picture, killing and going on, shares."""

import dataclasses
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from tiny_comparison import SYSTEMS, stand_in, write_plan

from ccfpse import cli, evaluation
from ccfpse.checkpoint import Model
from ccfpse.compare import Comparison, compare
from ccfpse.compare import run as steps
from ccfpse.compare.plan import Run
from ccfpse.compare.share import Share
from ccfpse.compare.table import Result
from ccfpse.engine import Engine
from ccfpse.metrics import Report
from ccfpse.training import loop
from training.tiny_data import write_data

QUIET = Console(file=io.StringIO())


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_data(tmp_path_factory.mktemp("data"))
    return write_data(root, "val", count=9, seed=1)


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        stand_in(patch, folder)
        yield folder


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    folder = tmp_path_factory.mktemp("whole")
    plan = Comparison.load(write_plan(folder / "plan.yaml", data, folder / "out"))
    assert not compare(plan, console=QUIET).missing
    return plan


@pytest.fixture(scope="module")
def single(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """The first seed alone, its two runs trained by one process each."""
    folder = tmp_path_factory.mktemp("single")
    plan = Comparison.load(write_plan(folder / "plan.yaml", data, folder / "out", seeds=[0]))
    first = compare(plan, share=Share(0, 2), console=QUIET)
    assert [str(run) for run in first.missing] == ["pix2pixHD + MsPatch, seed 0"]
    assert "**Unfinished:** 1 of 2 runs are in." in (plan.out / "table.md").read_text()
    assert not (plan.out / "grid.png").exists()
    assert not compare(plan, share=Share(1, 2)).missing
    assert (plan.out / "grid.png").exists()
    return plan


def table(out: Path) -> dict[str, Any]:
    """table.json without what the clock says."""
    content = json.loads((out / "table.json").read_text())
    for system in content["systems"]:
        del system["scores"]["seconds_per_image"]
    return content


def test_the_table_holds_what_the_reports_say(whole: Comparison) -> None:
    content = table(whole.out)
    assert [system["name"] for system in content["systems"]] == ["CC + FPSE", "pix2pixHD + MsPatch"]
    for system, slug in zip(content["systems"], ("cc-fpse", "pix2pixhd-mspatch"), strict=True):
        reports = [
            Report.load(whole.out / f"{slug}-seed{seed}" / "evaluation" / "report.json") for seed in (0, 1)
        ]
        for name in ("fid", "kid", "mean_iou", "accuracy_labelled"):
            first, second = (report.scores[name] for report in reports)
            assert system["scores"][name]["values"] == [first, second]
            assert system["scores"][name]["mean"] == pytest.approx((first + second) / 2)
            # two values: s / √2 is half their distance
            assert system["scores"][name]["standard_error"] == pytest.approx(abs(first - second) / 2)
    cc, hd = content["systems"]
    assert cc["scores"]["fid"]["values"] != hd["scores"]["fid"]["values"]
    assert cc["scores"]["lpips_diversity"]["mean"] > 0
    assert hd["scores"]["lpips_diversity"] is None  # it has no style vector
    for system in (cc, hd):
        folder = whole.out / ("cc-fpse-seed0" if system is cc else "pix2pixhd-mspatch-seed0")
        generator = Model.load(folder / "model.safetensors").generator
        assert system["parameters"] == sum(p.numel() for p in generator.parameters())
        assert system["gmac"] > 0
    text = (whole.out / "table.md").read_text()
    assert "12 images seen per run" in text
    assert "real photos" in text
    assert "Unfinished" not in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 5
    assert len({row.count("|") for row in rows}) == 1


def test_the_picture_shows_layouts_photos_and_models(whole: Comparison, data: Path) -> None:
    with Image.open(whole.out / "grid.png") as picture:
        pixels = np.asarray(picture)
    cell, step = 2 * 64, 2 * 64 + 4
    assert pixels.shape[1] == 4 * step - 4
    top = pixels.shape[0] - (8 * step - 4)  # eight of the nine layouts
    assert top > 16

    def shown(row: int, column: int) -> np.ndarray:
        y, x = top + row * step, column * step
        block = pixels[y : y + cell, x : x + cell]
        assert np.array_equal(block[::2, ::2], block[1::2, 1::2])  # enlarged by two
        return block[::2, ::2]

    pairs, space = evaluation.open_pairs(data, "val", (64, 64), "stretch")
    engine = Engine.load(whole.out / "pix2pixhd-mspatch-seed0")
    for row in (0, 7):
        assert pairs.stems[row] == str(row)
        pair = pairs.sample(row)
        assert np.array_equal(shown(row, 1), pair.photo)
        assert np.array_equal(shown(row, 0)[pair.labels == 1][0], space.colors[1])
        ids = np.where(pair.labels == space.classes, 255, pair.labels)
        assert np.array_equal(shown(row, 3), engine.generate(ids)[0])
    assert (pixels[: top - 4] < 128).any()  # names


def test_what_is_finished_is_kept(whole: Comparison, monkeypatch: pytest.MonkeyPatch) -> None:
    before = table(whole.out)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("nothing is missing")

    monkeypatch.setattr(loop, "train", refuse)
    monkeypatch.setattr(evaluation, "run", refuse)
    assert not compare(whole, console=QUIET).missing
    assert table(whole.out) == before


def test_a_killed_comparison_goes_on_to_the_same_table(
    single: Comparison, data: Path, cache: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    file = write_plan(tmp_path / "plan.yaml", data, out, seeds=[0])
    script = Path(__file__).with_name("tiny_comparison.py")
    process = subprocess.Popen(
        [sys.executable, script, cache, "compare", file],
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    log, deadline = out / "pix2pixhd-mspatch-seed0" / "log.jsonl", time.monotonic() + 200
    while not (log.exists() and log.read_text().count("\n") >= 3) and time.monotonic() < deadline:
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    finished = out / "cc-fpse-seed0"
    assert [path.parent for path in out.glob("*/result.json")] == [finished]
    kept = {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.is_file()}

    spoken = io.StringIO()
    compare(Comparison.load(file), console=Console(file=spoken, width=300))
    assert f"resuming {out / 'pix2pixhd-mspatch-seed0'} at 4 of 12 images" in spoken.getvalue()
    assert table(out) == table(single.out)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_two_processes_share_the_runs(whole: Comparison, single: Comparison) -> None:
    for own, both in zip(table(single.out)["systems"], table(whole.out)["systems"], strict=True):
        assert own["scores"]["fid"]["values"] == both["scores"]["fid"]["values"][:1]
        assert own["scores"]["fid"]["standard_error"] is None
        assert own["scores"]["kid"]["standard_error"] > 0  # of the estimate


def test_other_settings_or_photos_are_refused(whole: Comparison, data: Path, tmp_path: Path) -> None:
    longer = Comparison.load(write_plan(tmp_path / "plan.yaml", data, whole.out, images=24))
    with pytest.raises(ValueError, match=r"CC \+ FPSE, seed 0 began otherwise .* images is 24 but was 12"):
        compare(longer, console=QUIET)
    other = write_data(write_data(tmp_path / "other", seed=5), "val", count=9, seed=6)
    moved = Comparison.load(write_plan(tmp_path / "plan.yaml", other, whole.out))
    with pytest.raises(ValueError, match=r"not the photos that .* was begun with"):
        compare(moved, console=QUIET)


def one_again(whole: Comparison, tmp_path: Path, data: Path) -> tuple[Comparison, Run]:
    """A copy of the whole comparison and its first run, to be evaluated again."""
    shutil.copytree(whole.out, tmp_path / "out")
    plan = Comparison.load(write_plan(tmp_path / "plan.yaml", data, tmp_path / "out"))
    return plan, plan.runs[0]


def test_layouts_are_timed_that_the_engine_has_not_seen(
    whole: Comparison, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, run = one_again(whole, tmp_path, data)
    known, generate = [], Engine.generate

    def spy(engine: Engine, *arguments: Any, **options: Any) -> np.ndarray:
        images = generate(engine, *arguments, **options)
        known.append(engine.timings.cached_layouts)
        return images

    monkeypatch.setattr(Engine, "generate", spy)
    steps._evaluate(plan, run, progress=False)
    assert len(known) == 8 + 8  # the worst and best of nine, four each, then those that are timed
    assert known[-8:] == [0] * 8


def test_a_report_is_never_replaced_below_its_result(
    whole: Comparison, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, run = one_again(whole, tmp_path, data)

    def killed(*_: object, **__: object) -> float:
        raise KeyboardInterrupt

    monkeypatch.setattr(steps, "_seconds_per_image", killed)
    other = dataclasses.replace(plan, evaluation=dataclasses.replace(plan.evaluation, styles=3))
    with pytest.raises(KeyboardInterrupt):
        steps._evaluate(other, run, progress=False)
    assert Report.load(run.evaluation / "report.json").protocol.styles == 3
    assert Result.load(plan, run) is None


def call(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["ccfpse", "compare", *map(str, arguments)])
    monkeypatch.setenv("COLUMNS", "140")
    try:
        cli.main()
    except SystemExit as leaving:
        return int(leaving.code or 0)
    return 0


def test_dry_run_prints_the_plan(
    whole: Comparison,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    added = SYSTEMS | {"SPADE + FPSE": {"generator.kind": "spade"}}
    file = write_plan(tmp_path / "plan.yaml", tmp_path / "absent", tmp_path / "unused", systems=added)
    assert call(monkeypatch, file, "--data", data, "--out", whole.out, "--dry-run") == 0
    output = capsys.readouterr().out
    assert "6 runs of 12 images each (72 in all)" in output
    (old,) = [line for line in output.splitlines() if "pix2pixHD" in line]
    (new,) = [line for line in output.splitlines() if "SPADE" in line]
    assert old.count("evaluated") == 2
    assert new.count("new") == 2
    assert not (tmp_path / "unused").exists()
    assert call(monkeypatch, file, "--out", tmp_path / "unused") == 2
    assert capsys.readouterr().err.startswith(f"ccfpse: {tmp_path / 'absent'}: no such folder")
    assert call(monkeypatch, file, "--set", "batch") == 2
    assert "expected FIELD=VALUE" in capsys.readouterr().err
    assert call(monkeypatch, file, "--data", data, "--set", "batch=5") == 2
    assert "no multiple of its batch 5" in capsys.readouterr().err
