"""Runs that go on after something around them has changed: files, data, settings, leftovers, other runs."""

import io
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch
from rich.console import Console
from run_files import log_of
from tiny_data import TINY, write_data

from ccfpse.checkpoint import Model, load_tensors
from ccfpse.data import CorruptSample
from ccfpse.features.stacks import PerceptualFeatures, Stack
from ccfpse.presets import resolve
from ccfpse.training import loop, stopping
from ccfpse.training.config import TrainConfig
from ccfpse.training.report import RunFolder
from ccfpse.training.stopping import StopRequest, stop_requests


def config(**changes: str) -> TrainConfig:
    return resolve("facades", None, TINY | {"images": "4", "save_every": "4"} | changes)


@pytest.fixture
def heard() -> Console:
    return Console(file=io.StringIO(), width=300)


def said(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_instances_are_decided_by_the_split_trained_on(tmp_path: Path) -> None:
    """Not by val, of which the sample grids are made."""
    data = write_data(tmp_path / "data", instances=True)
    write_data(data, "val")
    with pytest.raises(ValueError, match=r"no instances in val, but .* set data\.instances=false"):
        loop.train(data, tmp_path / "run", config(sample_every="4"))
    assert not (tmp_path / "run" / "log.jsonl").exists()
    loop.train(data, tmp_path / "without", config(sample_every="4", **{"data.instances": "false"}))

    plain = write_data(tmp_path / "plain")
    write_data(plain, "val", instances=True)
    loop.train(plain, tmp_path / "plain run", config(sample_every="4"))
    assert (tmp_path / "plain run" / "samples" / "00000004.png").exists()


def test_instances_are_learnt_from(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data", instances=True)
    loop.train(data, tmp_path / "run", config())
    assert Model.load(tmp_path / "run" / "model.safetensors").generator.config.instances
    loop.train(data, tmp_path / "run", config(images="6"))  # what was left to the data goes on as such
    assert log_of(tmp_path / "run")[-1]["images"] == 6


def test_a_run_keeps_to_the_instances_that_it_began_with(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data")
    loop.train(data, tmp_path / "without", config())
    write_data(tmp_path / "more", instances=True)
    (tmp_path / "more/train/instances").rename(data / "train/instances")
    for images, changes in (("6", {}), ("8", {"data.instances": "false"})):
        loop.train(data, tmp_path / "without", config(images=images, **changes))
        assert log_of(tmp_path / "without")[-1]["images"] == int(images)
    with pytest.raises(ValueError, match=r"data\.instances is true but was false"):
        loop.train(data, tmp_path / "without", config(images="10", **{"data.instances": "true"}))

    loop.train(data, tmp_path / "with", config())
    (data / "train/instances/3.png").unlink()
    with pytest.raises(
        ValueError, match=r"3\.png: has no instance map; .* train with --data\.instances=false"
    ):
        loop.train(data, tmp_path / "with", config(images="6"))
    loop.train(data, tmp_path / "despite", config(sample_every="4", **{"data.instances": "false"}))
    shutil.rmtree(data / "train/instances")
    with pytest.raises(ValueError, match="no instances in train, but the networks are to read their edges"):
        loop.train(data, tmp_path / "with", config(images="6"))


def test_a_file_cut_off_since_then_is_told_with_the_way_round_it(tmp_path: Path) -> None:
    data, out = write_data(tmp_path / "data"), tmp_path / "run"
    loop.train(data, out, config())
    file = data / "train" / "images" / "5.png"
    file.write_bytes(file.read_bytes()[:-30])
    with pytest.raises(ValueError, match=r"images/5\.png[\s\S]*where --data\.verify=false is given"):
        loop.train(data, out, config(images="20"))
    loop.train(data, out, config(images="20", **{"data.verify": "false"}))
    assert log_of(out)[-1]["unreadable"] > 0


def test_more_samples_are_told(tmp_path: Path, heard: Console) -> None:
    data, out = write_data(tmp_path / "data", count=4), tmp_path / "run"
    loop.train(data, out, config())
    for kind in ("images", "labels"):
        (data / "train" / kind / "more.png").write_bytes((data / "train" / kind / "0.png").read_bytes())
    loop.train(data, out, config(images="8"), console=heard)
    assert "had 4 samples and has 5 now" in said(heard)
    assert load_tensors(out / "state.safetensors")[1]["samples"] == 5


def test_precision_and_clipping_may_change(tmp_path: Path) -> None:
    """As the diagnosis of a run that blew up advises."""
    data, out = write_data(tmp_path / "data"), tmp_path / "run"
    loop.train(data, out, config(**{"compute.precision": "bfloat16"}))
    changed = config(images="8", **{"compute.precision": "float32", "optimiser.clip": "10"})
    loop.train(data, out, changed)
    assert log_of(out)[-1]["images"] == 8


def test_leftovers_of_a_killed_run_are_removed(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    leftovers = [tmp_path / ".state.safetensors.7.tmp", tmp_path / ".config.json.tmp", folder.candidate]
    for file in (*leftovers, folder.log):
        file.touch()
    with folder.locked():
        assert not any(file.exists() for file in leftovers)
    assert folder.log.exists()


def test_the_best_model_of_another_run_is_put_aside(tmp_path: Path) -> None:
    data, out = write_data(tmp_path / "data"), tmp_path / "run"
    loop.train(data, out, config())
    folder = RunFolder(out)
    folder.best.write_bytes(folder.model.read_bytes())
    folder.state.unlink()
    loop.train(data, out, config())
    assert not folder.best.exists()
    assert (out / "best-1.safetensors").exists()
    assert (out / "model-1.safetensors").exists()


@pytest.mark.parametrize("start", ["fresh", "resumed"])
@pytest.mark.parametrize("slip", ["no val", "wrong weights"])
def test_a_start_that_is_refused_leaves_the_folder_as_it_was(
    tmp_path: Path, start: str, slip: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, out = write_data(tmp_path / "data"), tmp_path / "run"
    changes = {"loss.perceptual": "1", "loss.vgg": "vgg.pth"} if slip == "wrong weights" else {}
    monkeypatch.setattr(loop, "find_weights", lambda name, path: path)
    monkeypatch.setattr(loop, "load_vgg", lambda path: small_vgg())
    if start == "resumed":
        loop.train(data, out, config(**changes))
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file() and path.name != ".lock"}
    monkeypatch.setattr(loop, "load_vgg", lambda path: load_file_of_nothing(path))
    wrong = {"images": "8", **changes} | ({"evaluate_every": "2"} if slip == "no val" else {})
    with pytest.raises(ValueError, match="needs a val split" if slip == "no val" else "absent or of another"):
        loop.train(data, out, config(**wrong))
    after = {path: path.read_bytes() for path in out.rglob("*") if path.is_file() and path.name != ".lock"}
    assert after == before


def test_a_run_keeps_to_the_vgg_that_it_began_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, out = write_data(tmp_path / "data"), tmp_path / "run"
    monkeypatch.setattr(loop, "find_weights", lambda name, path: path)
    monkeypatch.setattr(loop, "load_vgg", lambda path: small_vgg(path))
    loop.train(data, out, config(**{"loss.perceptual": "1", "loss.vgg": "vgg19"}))
    changed = config(images="8", **{"loss.perceptual": "1", "loss.vgg": "vgg16"})
    with pytest.raises(ValueError, match=r"began with features of vgg19, but vgg16 is vgg16; name a file of"):
        loop.train(data, out, changed)
    loop.train(data, out, config(images="8", **{"loss.perceptual": "1", "loss.vgg": "vgg19"}))
    assert log_of(out)[-1]["images"] == 8


def test_a_size_that_does_not_fit_is_told_before_the_files_are_read(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data")
    (data / "train/images/5.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"50.*multiples? of 32"):
        loop.train(data, tmp_path / "run", config(**{"data.size": "50", "data.load_size": "none"}))


def small_vgg(name: str = "vgg19") -> PerceptualFeatures:
    return PerceptualFeatures(Stack(name, ((2, 3, 1),) * 5, pool_kernel=3, taps=(1, 3, 5, 7, 9)))


def load_file_of_nothing(path: str) -> PerceptualFeatures:
    return small_vgg().load({}, path)


@pytest.mark.parametrize(
    "error",
    [
        CorruptSample("val/images/3.png", "cannot be decoded"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    ],
)
def test_what_fails_in_an_evaluation_does_not_cost_the_run(
    tmp_path: Path, heard: Console, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    class Broken:
        def __init__(self, *_: object) -> None: ...

        def __call__(self, *_: object) -> dict[str, float]:
            raise error

    monkeypatch.setattr(loop, "Evaluation", Broken)
    data, out = write_data(tmp_path / "data"), tmp_path / "run"
    loop.train(data, out, config(evaluate_every="2"), console=heard)
    assert f"no evaluation at 2 images: {error}" in said(heard)
    assert log_of(out)[-1]["images"] == 4


def test_the_same_wish_told_twice_is_one(capfd: pytest.CaptureFixture[str]) -> None:
    with stop_requests() as stop:
        assert not stop.came
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        assert stop.came
    assert capfd.readouterr().err.count("finishing this step, then saving") == 1


def test_a_second_wish_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    request = StopRequest(speaks=False)
    request(signal.SIGINT, None)
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + stopping.ECHO_SECONDS + 1)
    with pytest.raises(KeyboardInterrupt, match="interrupted twice"):
        request(signal.SIGINT, None)
