"""The benchmarks at tiny sizes: that they run, count what is known, and write where they should."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from shared_files import REPOSITORY

sys.path.insert(0, str(REPOSITORY))
from benchmarks.plot import scaling_plot
from benchmarks.workloads import Workload, prepare, unsupported, variants

from benchmarks import measure, report

CPU = torch.device("cpu")
NAMES = ["apply", "op forward", "op forward+backward", "one image", "cached layout", "styles"]


@pytest.mark.parametrize("name", [*NAMES, "training forward", "training step"])
def test_every_workload_runs(name: str) -> None:
    workload = Workload(name, "tiny", styles=2 if name == "styles" else 1)
    for variant in variants(workload):
        if unsupported(variant, workload, CPU) is None:
            prepare(workload, variant, CPU).run()
        else:
            assert variant == "fast bfloat16"


def test_flops_of_a_known_operator() -> None:
    # tiny: 8 hidden channels predict 9 · 8 kernel elements by 3×3 convolutions at 64².
    ready = prepare(Workload("op forward", "tiny"), "fast", CPU)
    assert measure.flops_of(ready.run) == 2 * 8 * 9 * 72 * 64 * 64


def test_rounds_take_turns() -> None:
    order: list[str] = []
    runs = {name: lambda name=name: order.append(name) for name in "ab"}
    times = measure.interleaved(runs, CPU, least=2, limit_seconds=0)
    assert order == ["a", "b"] * 3  # one round is not counted
    assert [len(values) for values in times.values()] == [2, 2]


def test_saved_bytes_counts_storages_once() -> None:
    layer, x = torch.nn.Linear(8, 8), torch.ones(4, 8, requires_grad=True)
    # x and the weight were there before. exp saves its result, the product's is returned.
    assert measure.saved_bytes(lambda: layer(x).exp() * x.view(4, 8)) == 2 * 4 * 8 * 4


def test_saved_bytes_sees_what_checkpointing_keeps() -> None:
    x = torch.ones(4, 8, requires_grad=True)

    def run() -> torch.Tensor:
        return checkpoint(lambda y: (y.exp() * y).sum(), x * 2, use_reentrant=False)  # y and the sum

    assert measure.saved_bytes(run) == (4 * 8 + 1) * 4


def test_strips_save_less_and_recomputed_blocks_least() -> None:
    workload, saved = Workload("training forward", "tiny"), {}
    for variant in variants(workload):
        ready = prepare(workload, variant, CPU)
        saved[variant] = measure.saved_bytes(ready.run)
    order = ["fast full", "fast selective", "fast kernels", "fast", "plain"]
    assert sorted(saved, key=lambda variant: saved[variant]) == order
    assert saved["fast full"] < 0.2 * saved["plain"]


def row(**changes: object) -> dict:
    return {
        "name": "one image", "config": "tiny", "size": None, "styles": 1,
        "moved_bytes": {}, "not_measured": {},
        "seconds": {"plain": 0.5, "fast": 0.25},
        "counts": {
            "plain": {"peak_bytes": 8 << 20, "flops": 5e9, "saved_bytes": 4 << 20},
            "fast": {"peak_bytes": 2 << 20, "flops": 4e9, "saved_bytes": 1 << 20},
        },
    } | changes  # fmt: skip


def results() -> dict:
    rates = {"float32": 100.0, "bfloat16": None, "copy": 10.0}
    points = [row(size=64), row(size=128), row(styles=1), row(styles=4)]
    return {"machine": "a machine", "rates": rates, "rows": [row()], "scaling": points}


def test_the_tables_ratios() -> None:
    text = report.as_table(results())
    assert "| tiny: one image | plain | 0.5 |  | 8 |  | 10 | 10 |  |  |" in text
    assert "|  | fast | 0.25 | 2.00 | 2 | 0.25 | 16 | 16 |  |  |" in text
    assert "plain 4 MB, fast 1 MB; ratio 0.25" in text


def test_the_table_goes_between_its_markers(tmp_path: Path) -> None:
    document = tmp_path / "performance.md"
    document.write_text("above\n<!-- benchmarks cpu -->\nold\n<!-- end of benchmarks cpu -->\nbelow\n")
    for _ in range(2):
        report.insert(results(), document, "cpu")
        lines = document.read_text().splitlines()
        assert (lines[0], lines[-1], lines.count("a machine")) == ("above", "below", 1)
        assert "old" not in lines
    with pytest.raises(ValueError, match="benchmarks cuda"):
        report.insert(results(), document, "cuda")
    committed = (REPOSITORY / "docs" / "performance.md").read_text()
    for device in ("cpu", "cuda"):
        assert f"<!-- benchmarks {device} -->" in committed
        assert f"<!-- end of benchmarks {device} -->" in committed


def test_the_plot_has_a_line_per_panel_and_variant() -> None:
    svg = scaling_plot(results()["scaling"])
    assert svg.count("<polyline") == 4
    assert svg.startswith("<svg")


@pytest.mark.slow
def test_the_command_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "--quick", "--only", "one image", "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert "tiny: one image" in done.stdout
    assert (tmp_path / "performance-cpu.json").is_file()
