"""Training end to end on a tiny data set: what it writes, that it learns, and that resuming is exact."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from run_files import assert_same_run, resumed_at
from tiny_data import TINY, arguments, write_data

from ccfpse.checkpoint import Model
from ccfpse.data import PairedTransform
from ccfpse.data.layouts import open_dataset
from ccfpse.engine import Engine
from ccfpse.presets import resolve
from ccfpse.training import journal, loop
from ccfpse.training.config import TrainConfig
from ccfpse.training.report import RunFolder
from ccfpse.training.state import TrainState
from ccfpse.training.stopping import Stopped
from ccfpse.training.stream import to_batch
from ccfpse.training.update import step


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


def config(**changes: str) -> TrainConfig:
    return resolve("facades", None, TINY | changes)


def command(data: Path, out: Path, **changes: object) -> list[str]:
    return [sys.executable, "-m", "ccfpse", "train", str(data), "--out", str(out), *arguments(**changes)]


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole")
    loop.train(data, out, config())
    return out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lines", "workers", "number"), [(1, 0, signal.SIGKILL), (8, 2, signal.SIGKILL), (5, 2, signal.SIGINT)]
)
def test_ended_run_goes_on_as_the_whole_one(
    data: Path, whole: Path, tmp_path: Path, lines: int, workers: int, number: int
) -> None:
    """The signal goes to the workers too, as Ctrl-C in a terminal does."""
    changes = {"data.workers": workers}
    process = subprocess.Popen(
        command(data, tmp_path, **changes), stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    log, deadline = tmp_path / "log.jsonl", time.monotonic() + 120
    while not (log.exists() and log.read_text().count("\n") >= lines) and time.monotonic() < deadline:
        time.sleep(0.002)
    os.killpg(process.pid, number)
    _, errors = process.communicate()
    if number == signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL
    else:
        assert process.returncode == 130
        assert "of 24 images and saved; the same command goes on from there" in " ".join(errors.split())
        assert "Traceback" not in errors
    again = subprocess.run(command(data, tmp_path, **changes), check=True, capture_output=True, text=True)
    assert bool(resumed_at(again.stderr)) == (lines >= 3)  # the first state is saved after three steps
    assert_same_run(whole, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "moved"), [("model", False), ("model", True), ("state", False), ("state", True)]
)
def test_run_killed_while_it_saves_goes_on_as_the_whole_one(
    data: Path, whole: Path, tmp_path: Path, file: str, moved: bool
) -> None:
    """At the second save, before or after a file takes its name: the state is the older one, or the new."""
    code = (
        "import os, signal, sys\n"
        "from ccfpse.cli import main\n"
        "move, saves = os.replace, []\n"
        "def dying(source, target):\n"
        f"    due = os.path.basename(target) == '{file}.safetensors'\n"
        "    saves.extend([1] * due)\n"
        f"    if not due or len(saves) < 2 or {moved}:\n"
        "        move(source, target)\n"
        "    if due and len(saves) == 2:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "os.replace = dying\n"
        "main()\n"
    )
    ending = [sys.executable, "-c", code, *command(data, tmp_path)[3:]]
    assert subprocess.run(ending, capture_output=True).returncode == -signal.SIGKILL
    console = Console(file=io.StringIO(), width=200)
    loop.train(data, tmp_path, config(), console=console)
    assert resumed_at(console.file.getvalue()) == (12 if (file, moved) == ("state", True) else 6)
    assert_same_run(whole, tmp_path)


def test_stopped_run_goes_on_exactly(
    data: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps, real = [], loop.step

    def interrupted(*args: object) -> dict[str, torch.Tensor]:
        steps.append(1)
        if len(steps) == 5:
            signal.raise_signal(signal.SIGTERM)
        return real(*args)  # type: ignore[arg-type]

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(loop, "step", interrupted)
    with pytest.raises(Stopped, match="stopped at 10 of 24 images"):
        loop.train(data, tmp_path, config())
    assert signal.getsignal(signal.SIGTERM) == before
    console = Console(file=io.StringIO(), width=200)
    loop.train(data, tmp_path, config(), console=console)
    assert resumed_at(console.file.getvalue()) == 10
    assert_same_run(whole, tmp_path)


def test_what_a_run_writes(data: Path, whole: Path) -> None:
    assert {path.name for path in whole.iterdir()} == {
        ".lock",
        "tensorboard",
        "config.json",
        "log.jsonl",
        "model.safetensors",
        "state.safetensors",
    }
    lines = [json.loads(line) for line in (whole / "log.jsonl").read_text().splitlines()]
    assert [line["images"] for line in lines] == list(range(2, 25, 2))
    assert [line["lr_generator"] for line in lines][::11] == [3e-4, pytest.approx(3e-4 * 2 / 12)]
    for line in lines:
        assert line["generator_gradient_norm"] > 0
        assert line["discriminator_gradient_norm"] > 0
        assert line["images_per_second"] > 0
        assert line["memory_mb"] > 50
        assert 0 <= line["d_accuracy_fake"] <= 1
        assert (line["generator_skipped"], line["discriminator_skipped"], line["unreadable"]) == (0, 0, 0)
    model = Model.load(whole / "model.safetensors")
    assert model.info["images"] == 24
    assert model.label_space.names == ("wall", "door")
    engine = Engine.load(whole)
    layout = Image.open(data / "train" / "labels" / "0.png").resize((64, 64), Image.Resampling.NEAREST)
    assert engine.generate(layout, count=2).shape == (2, 64, 64, 3)


def test_tensorboard_gets_every_number(whole: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    curves = EventAccumulator(str(whole / "tensorboard"))
    curves.Reload()
    line = json.loads((whole / "log.jsonl").read_text().splitlines()[-1])
    assert set(curves.Tags()["scalars"]) == line.keys() - {"images"}
    assert [event.step for event in curves.Scalars("gan")] == list(range(2, 25, 2))
    assert curves.Scalars("gan")[-1].value == pytest.approx(line["gan"], rel=1e-5, abs=1e-6)


def test_without_tensorboard_one_note(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    console = Console(file=io.StringIO(), width=200)
    assert journal.events(RunFolder(whole), 0, console) is None
    assert console.file.getvalue().startswith("no TensorBoard events (pip install")  # type: ignore[attr-defined]


def test_changed_config_is_refused_on_resume(data: Path, whole: Path) -> None:
    with pytest.raises(ValueError, match=r"generator\.width is 2 but was 1"):
        loop.train(data, whole, config(**{"generator.width": "2"}))


def test_a_step_moves_every_network(data: Path) -> None:
    settings = config(**{"generator.width": "2"})  # at width 1 a spectrally normed 1×1 weight is constant
    dataset = open_dataset(data, "train", PairedTransform((64, 64)))
    state = TrainState.start(loop.build(settings, dataset), settings)
    before = {
        f"{network}.{name}": p.clone()
        for network, n in state.networks.named.items()
        for name, p in n.named_parameters()
    }
    batch = to_batch([dataset.sample(0), dataset.sample(1)], dataset, settings, 0)
    step(state, [batch], settings, None)
    after = {
        f"{network}.{name}": p
        for network, n in state.networks.named.items()
        for name, p in n.named_parameters()
    }
    still = {name for name in before if torch.equal(before[name], after[name])}
    # Before the first margin is reached both hinge losses pull these two with exactly opposite gradients.
    assert still <= {"discriminator.real.bias", "discriminator.semantic.bias"}


@pytest.mark.slow
def test_learns_the_colours_of_its_classes(data: Path, tmp_path: Path) -> None:
    """After 800 images walls are blue and doors are orange, as in the photos."""
    changes = {"images": "800", "save_every": "800", "generator.width": "2", "discriminator_width": "4"}
    loop.train(
        data,
        tmp_path,
        config(**dict.fromkeys(("optimiser.lr_generator", "optimiser.lr_discriminator"), "2e-3"), **changes),
    )
    engine = Engine.load(tmp_path)
    layout = Image.open(data / "train" / "labels" / "0.png").resize((64, 64), Image.Resampling.NEAREST)
    labels = np.asarray(layout)
    picture = engine.generate(labels)[0].astype(float)
    wall, door = picture[labels == 0].mean(0), picture[labels == 1].mean(0)
    assert door[0] > wall[0] + 40  # red
    assert wall[2] > door[2] + 40  # blue
