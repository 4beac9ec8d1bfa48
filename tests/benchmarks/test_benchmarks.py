"""The benchmarks at tiny sizes: that they run and count what is known."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from shared_files import REPOSITORY

sys.path.insert(0, str(REPOSITORY))
from benchmarks.workloads import Workload, prepare, unsupported, variants

from benchmarks import measure

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


@pytest.mark.slow
def test_the_command_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "--quick", "--only", "one image", "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert "| tiny: one image | plain |" in done.stdout
    assert "[1/1] tiny: one image" in done.stderr
    (row,) = json.loads((tmp_path / "performance-cpu.json").read_text())["rows"]
    # One image in its own process: some memory, and the convolutions of the network.
    assert row["counts"]["plain"]["flops"] > row["counts"]["fast"]["flops"] > 0
    assert row["counts"]["plain"]["peak_bytes"] > 0
