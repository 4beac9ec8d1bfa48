"""A new user's data set of a shape of its own, from `data check` to a picture: classes.json and folders."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ccfpse import Engine
from ccfpse.cli import main
from stand_in_networks import install
from training.tiny_data import arguments

CLASSES, IGNORE = 37, 65535
SHAPES = ((140, 210), (200, 130), (128, 192), (151, 333))  # lying and upright

# What a user gives is the size; the rest makes the networks small enough for a test.
FLAGS = [f for f in arguments(images=12, save_every=2, sample_every=12) if "size" not in f]
FLAGS = ["--data.size=64,96", *(f for f in FLAGS if "workers" not in f), "--data.workers=2"]


def write_split(root: Path, split: str, count: int, classes: int, seed: int) -> None:
    """Cells of classes in 16-bit PNGs, a corner unlabelled; photos as JPEG and PNG, named as people do."""
    rng = np.random.default_rng(seed)
    colors = np.random.default_rng(9).integers(20, 236, (classes, 3))
    for kind in ("images", "labels"):
        (root / split / kind).mkdir(parents=True)
    for index in range(count):
        height, width = SHAPES[index % len(SHAPES)]
        cells = rng.integers(0, classes, (4, 6))
        cells[0, 0] = classes - 1
        ids = cells[np.arange(height)[:, None] * 4 // height, np.arange(width) * 6 // width]
        photo = Image.fromarray(colors[ids].astype(np.uint8))
        ids[-20:, :30] = IGNORE
        stem, suffix = f"Straße {index}", (".JPG", ".png")[index % 2]
        photo.save(root / split / "images" / (stem + suffix), "JPEG" if suffix == ".JPG" else "PNG")
        Image.fromarray(ids.astype(np.uint16)).save(root / split / "labels" / f"{stem}.png")


def write_set(root: Path, classes: int = CLASSES) -> Path:
    write_split(root, "train", 8, classes, seed=0)
    write_split(root, "val", 8, classes, seed=1)
    content = {"names": [f"Klasse {i}" for i in range(classes)], "ignore": IGNORE}
    (root / "classes.json").write_text(json.dumps(content))
    return root


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("own") / "Meine Fotos")


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, call: Callable[..., tuple[int, str, str]]) -> Callable[..., str]:
    """Calls a command; its output, of a call that must succeed."""
    monkeypatch.setenv("COLUMNS", "120")

    def run(*words: object) -> str:
        status, output, errors = call(*words)
        assert not status, errors
        return output

    return run


def workers_of(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def alive(process: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def killed_in_its_middle(command: list[str], run: Path) -> list[int]:
    """Kills the training process alone, once it has saved; the workers that it had."""
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (run / "state.safetensors").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    workers = workers_of(process.pid) if sys.platform == "linux" else []
    process.send_signal(signal.SIGKILL)
    process.wait()
    return workers


@pytest.mark.slow
def test_classes_and_folders_are_enough(
    data: Path, tmp_path: Path, call: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, tmp_path / "cache")
    report = call("data", "check", data, "--contact-sheet", tmp_path / "sheet.png")
    assert "8 train, 8 val" in report
    assert "37 classes · no instances" in report
    assert "No faults." in report

    run = tmp_path / "run"
    train = ["train", str(data), "--out", str(run), *FLAGS]
    workers = killed_in_its_middle([sys.executable, "-m", "ccfpse", *train], run)
    seen = (run / "log.jsonl").read_text().count("\n")
    assert seen < 6
    assert f"draw with it: ccfpse generate LAYOUT.png --model {run}" in " ".join(call(*train).split())
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [line["images"] for line in log] == [2, 4, 6, 8, 10, 12]
    assert all(line["unreadable"] == 0 for line in log)
    assert (run / "samples/00000012.png").is_file()
    if sys.platform == "linux":
        assert len(workers) >= 2
        assert not any(map(alive, workers))  # they do not outlive the process that was killed

    call("generate", data / "val/labels", "--model", run, "--count", 2, "--out", tmp_path / "drawn")
    drawn = sorted((tmp_path / "drawn").iterdir())
    assert len(drawn) == 16
    with Image.open(drawn[0]) as picture:
        assert (picture.mode, picture.size) == ("RGB", (96, 64))
    call("evaluate", "--model", run, "--data", data, "--segmenter", "none", "--out", tmp_path / "scores")
    scores = json.loads((tmp_path / "scores/report.json").read_text())
    assert scores["protocol"]["size"] == [64, 96]
    assert np.isfinite(scores["scores"]["kid"])

    engine = Engine.load(run)
    assert (engine.trained_size, engine.uses_instances) == ((64, 96), False)
    assert (len(engine.label_space), engine.label_space.ignore) == (CLASSES, IGNORE)
    layout = np.full((64, 96), IGNORE, np.uint16)
    layout[20:] = CLASSES - 1
    assert engine.generate(layout, count=2).shape == (2, 64, 96, 3)


def test_ids_above_eight_bits(tmp_path: Path, call: Callable[..., str]) -> None:
    data = write_set(tmp_path / "data", classes=300)
    quick = ["--images=2", "--sample_every=2", "--data.workers=0"]
    call("train", data, "--out", tmp_path / "run", *FLAGS, *quick)
    engine = Engine.load(tmp_path / "run")
    first, last = (np.full((64, 96), number, np.uint16) for number in (0, 299))
    assert (engine.generate(first) != engine.generate(last)).any()


def test_a_wrong_id_in_either_split_is_told_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_set(tmp_path / "data")
    for split in ("val", "train"):
        ids = np.zeros(SHAPES[3], np.uint16)
        ids[0, :5] = 41
        Image.fromarray(ids).save(data / split / "labels" / "Straße 3.png")
        words = ["ccfpse", "train", str(data), "--out", str(tmp_path / "run"), *FLAGS]
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as leaving:
            main()
        assert leaving.value.code == 2
        told = f"{split}/labels/Straße 3.png: label id 41 (5 pixels), but the classes are 0..36 (Klasse 36)"
        assert told in capsys.readouterr().err
        assert not (tmp_path / "run/log.jsonl").exists()
