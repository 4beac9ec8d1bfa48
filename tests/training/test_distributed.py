"""Two processes on CPUs: the same as one, and what happens when one is killed."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from run_files import log_of
from safetensors.torch import load_file
from tiny_data import TINY, arguments, write_data
from torch import nn

from ccfpse.checkpoint import load_tensors
from ccfpse.models.layers import BatchRenorm2d
from ccfpse.presets import resolve
from ccfpse.training import distributed, loop
from ccfpse.training.batch_norm import synchronise
from ccfpse.training.distributed import World, find_device, joined

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]

EVERYTHING = {
    "batch": "4",
    "save_every": "4",
    "compute.accumulate": "2",
    "compute.checkpointing": "selective",
    "compute.precision": "bfloat16",
    "small_data.augment": "color,translation,cutout",
    "small_data.r1": "1",
    "small_data.r1_every": "2",
    "optimiser.clip": "100",
}


def two_processes(data: Path, out: Path, changes: dict[str, str]) -> list[str]:
    return [*TORCHRUN, "-m", "ccfpse", "train", str(data), "--out", str(out), *arguments(**changes)]


@pytest.fixture
def world_of_one() -> Iterator[None]:
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("world_of_one")
@pytest.mark.parametrize("kind", [nn.BatchNorm2d, BatchRenorm2d])
@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm_of_one_process_is_the_plain_one(kind: type[nn.BatchNorm2d], affine: bool) -> None:
    ours, theirs = (kind(3, affine=affine) for _ in range(2))
    synchronise(ours)
    assert type(ours) is not kind
    for layer in (ours, theirs):
        layer.num_batches_tracked.fill_(300)  # renormalisation's bounds are open by then
    outcomes = []
    for layer in (ours, theirs):
        torch.manual_seed(0)
        if affine:
            nn.init.normal_(layer.weight)
            nn.init.normal_(layer.bias)
        x = (torch.randn(2, 3, 5, 4) * 3 + 7).requires_grad_()
        y = layer(x)
        (y * torch.randn_like(y)).sum().backward()
        outcomes.append([y, x.grad, *[p.grad for p in layer.parameters()], *layer.buffers()])
        outcomes[-1].append(layer.eval()(x))
    for a, b in zip(*outcomes, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_a_batch_that_cannot_be_shared_is_refused() -> None:
    with pytest.raises(ValueError, match=r"batch of 6 .* 2 processes in 2 parts.*multiple of 4"):
        World(size=2).share(6, parts=2)
    assert World(size=2).share(8, parts=2) == 4


def test_devices() -> None:
    assert find_device("cpu", 3) == torch.device("cpu")
    with pytest.raises(ValueError, match=r"compute\.device is 'gpu', expected auto"):
        find_device("gpu", 0)
    with pytest.raises(ValueError, match=r"compute\.device 'hpu' cannot be used here: "):
        find_device("hpu", 0)
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="needs GPU 1, but PyTorch can use 0"):
            find_device("cuda", 1)


def test_one_gpu_for_all_processes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    launched = {"MASTER_ADDR": "127.0.0.1", "WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0"}
    for name, value in (launched | {"LOCAL_WORLD_SIZE": "2"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with (
        pytest.raises(ValueError, match="'cuda:0', one GPU for all processes of this host"),
        joined("cuda:0"),
    ):
        pass
    monkeypatch.delenv("LOCAL_RANK")
    with pytest.raises(ValueError, match="LOCAL_RANK is not; start the processes by torchrun"), joined("cpu"):
        pass


def test_an_error_between_processes_is_told_with_its_last_line(monkeypatch: pytest.MonkeyPatch) -> None:
    launched = {"MASTER_ADDR": "127.0.0.1", "WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1"}
    for name, value in launched.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(dist, "init_process_group", lambda *_, **__: None)
    message = "NCCL error in: group.cpp:1\nncclInvalidUsage\nLast error:\nDuplicate GPU detected"
    with pytest.raises(ValueError, match=r"process 1 of 2: .*NCCL error in.* … Duplicate GPU"), joined("cpu"):
        raise dist.DistBackendError(message)


def test_the_option_of_every_pytorch() -> None:
    """2.13 warns of the old name; older ones do not know the new one."""

    class Old:
        def __init__(self, module: nn.Module, broadcast_buffers: bool = True) -> None: ...

    class New:
        def __init__(
            self, module: nn.Module, broadcast_buffers=None, forward_sync_buffers: bool = True
        ) -> None: ...

    assert distributed.without_sync(Old) == {"broadcast_buffers": False}
    assert distributed.without_sync(New) == {"forward_sync_buffers": False}


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["batch_renorm", "batch"])
def test_two_processes_do_what_one_does(tmp_path: Path, norm: str) -> None:
    """Two steps of batch 2; the second differs more: Adam makes ±rate of gradients that cancel to noise.

    Augmentation, whose empty pixels make more of those, is left out: what is drawn for an image does not
    depend on the process (`test_augment.py`).
    """
    data = write_data(tmp_path / "data")
    one, two = tmp_path / "one", tmp_path / "two"
    changes = {"images": "4", "save_every": "4", "sample_every": "4", "small_data.augment": ""}
    changes["generator.norm"] = norm
    result = subprocess.run(two_processes(data, two, changes), capture_output=True, text=True, timeout=200)
    assert result.returncode == 0, result.stderr
    loop.train(data, one, resolve("facades", None, TINY | changes))

    logs = zip(log_of(one), log_of(two), (2e-5, 2e-3), strict=True)
    for alone, shared, tolerance in logs:
        assert alone.keys() == shared.keys()
        for name, value in alone.items():
            assert shared[name] == pytest.approx(value, rel=tolerance), name
    a, b = load_file(one / "state.safetensors"), load_file(two / "state.safetensors")
    assert a.keys() == b.keys()
    gradients = [name for name in a if name.endswith("exp_avg")]  # with beta1 = 0 those of the last step
    largest = max(a[name].norm() for name in gradients)
    for name in gradients:
        assert (a[name] - b[name]).norm() <= 2e-2 * a[name].norm() + 1e-4 * largest, name
    for name in [name for name in a if "running" in name or name.endswith((".u", ".v"))]:
        assert (a[name] - b[name]).norm() <= 5e-3 * a[name].norm() + 1e-4, name
    assert [path.name for path in (two / "samples").iterdir()] == ["00000004.png"]


@pytest.mark.slow
def test_all_processes_end_with_the_same_weights(tmp_path: Path) -> None:
    """Also where parts of a batch are added up without an exchange."""
    data, out = write_data(tmp_path / "data"), tmp_path / "run"
    command = two_processes(data, out, EVERYTHING | {"images": "8"})
    command[command.index("-m", 3) : command.index("train")] = [str(Path(__file__).parent / "ranks_agree.py")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert result.returncode == 0, result.stderr
    first, second = (out / f"rank-{rank}.txt" for rank in range(2))
    assert first.read_text() == second.read_text()


@pytest.mark.slow
def test_two_processes_asked_to_stop_save(tmp_path: Path) -> None:
    """Each is asked twice, as in a terminal: by Ctrl-C, and by torchrun, which passes its own on."""
    data, out = write_data(tmp_path / "data"), tmp_path / "run"
    command = two_processes(data, out, {"images": "4000", "save_every": "4000"})
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as run:
        try:
            deadline = time.monotonic() + 120
            while not (out / "log.jsonl").exists() or not log_of(out):
                assert time.monotonic() < deadline
                time.sleep(0.05)
            os.killpg(run.pid, signal.SIGINT)
            _, errors = run.communicate(timeout=60)
        finally:
            if run.poll() is None:
                os.killpg(run.pid, signal.SIGKILL)
    images = log_of(out)[-1]["images"]
    assert f"stopped at {images:,} of 4,000 images and saved" in errors, errors
    assert load_tensors(out / "state.safetensors")[1]["images"] == images


@pytest.mark.slow
def test_a_killed_process_ends_the_run_with_a_sentence(tmp_path: Path) -> None:
    data, out = write_data(tmp_path / "data"), tmp_path / "run"
    command = two_processes(data, out, EVERYTHING | {"images": "4000"})
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as run:
        try:
            deadline = time.monotonic() + 120
            while not (out / "model.safetensors").exists() and time.monotonic() < deadline:
                time.sleep(0.05)
            children = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
            second = next(c for c in children if b"RANK=1\0" in Path(f"/proc/{c}/environ").read_bytes())
            os.kill(int(second), signal.SIGKILL)
            _, errors = run.communicate(timeout=90)
        finally:
            if run.poll() is None:
                os.killpg(run.pid, signal.SIGKILL)
    assert run.returncode != 0
    assert re.search(r"process 0 of 2: another process of the run was lost", errors), errors
    assert "goes on from the last state on disk" in errors
    images = log_of(out)[-1]["images"]
    settings = resolve(None, None, {"images": str(images + 4), "save_every": "100"}, out)
    loop.train(data, out, settings)  # one process goes on with what two began
    assert log_of(out)[-1]["images"] == images + 4
    assert log_of(out)[-1]["generator_skipped"] == 0
