"""Files that break while a run goes on, and a folder that is in use."""

import errno
import os
import re
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
from run_files import assert_same_run, log_of
from tiny_data import TINY, arguments, write_data

from ccfpse.data import CorruptSample, Sample
from ccfpse.data.check import check_dataset
from ccfpse.data.convert import convert
from ccfpse.features import MissingWeights
from ccfpse.presets import resolve
from ccfpse.training import loop
from ccfpse.training.report import RunFolder
from ccfpse.training.stream import Drawn
from ccfpse.training.unreadable import Unreadable
from damaged_files import damage


def test_a_broken_file_is_replaced_the_same_way_in_every_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_data(tmp_path / "data")
    broken = data / "train" / "images" / "3.png"
    damage(broken)
    changes = {"images": "16", "save_every": "16", "data.verify": "false"}
    for name, workers in (("a", "0"), ("b", "2")):
        settings = resolve("facades", None, TINY | changes | {"data.workers": workers})
        loop.train(data, tmp_path / name, settings, console=Console(width=200, stderr=True))
    assert_same_run(tmp_path / "a", tmp_path / "b")
    lines = log_of(tmp_path / "a")
    assert [line["unreadable"] for line in lines][-1] == 2  # in two epochs of eight
    assert {file for line in lines for file in line.get("unreadable_files", [])} == {str(broken)}
    assert "2 times a file that could not be read was replaced" in capsys.readouterr().err


def test_a_truncated_file_is_named_before_the_first_step(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data")
    file = data / "train" / "labels" / "5.png"
    file.write_bytes(file.read_bytes()[:-30])
    settings = resolve("facades", None, TINY)
    with pytest.raises(ValueError, match=r"1 fault .*\n  train/labels/5\.png: "):
        loop.train(data, tmp_path / "run", settings)
    assert not (tmp_path / "run" / "log.jsonl").exists()


def write_masks(data: Path, ids: tuple[int, int]) -> None:
    for labels in (data / "train" / "labels").iterdir():
        pixels = np.asarray(Image.open(labels))
        Image.fromarray(np.where(pixels == 1, ids[1], ids[0]).astype(np.uint8)).save(labels)


@pytest.mark.parametrize(
    ("ids", "told"),
    [
        ((0, 255), r'only \'wall\' occurs, and pixels of no class \(255\); .* --ids "255:1"'),
        ((255, 255), "no pixel has a class: all label maps hold 255 alone"),
    ],
)
def test_label_maps_that_tell_nothing_are_refused(tmp_path: Path, ids: tuple[int, int], told: str) -> None:
    data = write_data(tmp_path / "data")
    write_masks(data, ids)
    with pytest.raises(ValueError, match=told):
        loop.train(data, tmp_path / "run", resolve("facades", None, TINY))
    report = check_dataset(data)
    assert not report.sound
    assert re.search(told, str(report.faults[0]))


def test_masks_are_trained_on_as_the_cure_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_masks(write_data(tmp_path / "masks"), (0, 255))
    convert("remap", tmp_path / "masks", tmp_path / "data", ids="255:1")
    settings = resolve("facades", None, TINY | {"images": "2"})
    loop.train(tmp_path / "data", tmp_path / "run", settings)
    write_masks(tmp_path / "data", (0, 0))  # which may be meant
    loop.train(tmp_path / "data", tmp_path / "other", settings, console=Console(width=200, stderr=True))
    assert "note: 1 of 2 classes are not in the label maps looked at: door" in capsys.readouterr().err


@pytest.mark.slow
def test_a_worker_that_waits_for_a_drive_is_not_waited_for(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data")
    stuck = data / "train" / "images" / "5.png"
    stuck.unlink()
    os.mkfifo(stuck)  # a read of it never ends
    changes = {"data.verify": "false", "data.workers": "1"}
    command = [sys.executable, "-m", "ccfpse", "train", str(data), "--out", str(tmp_path / "run")]
    process = subprocess.Popen(
        [*command, *arguments(**changes)], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 120
    while not (tmp_path / "run" / "config.json").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(5)
    try:
        for _ in range(2):
            os.killpg(process.pid, signal.SIGINT)
            time.sleep(3)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "interrupted twice" in said
    assert "Traceback" not in said


def test_a_run_stops_when_most_of_the_data_is_gone(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data")
    for index in range(6):
        damage(data / "train" / "images" / f"{index}.png")
    settings = resolve("facades", None, TINY | {"data.verify": "false", "images": "200"})
    with pytest.raises(ValueError, match=r"of the last .* samples could not be read, the last because of"):
        loop.train(data, tmp_path / "run", settings)


def test_what_a_run_lacks_is_told_with_the_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """bfloat16 on a CPU that imitates it, and no weights for the perceptual loss."""
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    data = write_data(tmp_path / "data")
    changes = {"compute.precision": "bfloat16", "loss.perceptual": "1", "loss.vgg": str(tmp_path / "absent")}
    settings = resolve("facades", None, TINY | changes)
    with pytest.raises(MissingWeights, match=r"absent: no such file .* vgg19 weights.*--loss\.perceptual=0"):
        loop.train(data, tmp_path / "run", settings, console=Console(width=200, stderr=True))
    assert "--compute.precision=float32 is faster" in capsys.readouterr().err


def test_nothing_readable_at_all_stops_at_once() -> None:
    error = CorruptSample("photo.png", "gone")
    with pytest.raises(ValueError, match=r"photo\.png: gone"):
        Unreadable().sift([Drawn(None, (error, error))])


def test_a_drive_that_has_recovered_goes_on() -> None:
    error, reads = CorruptSample("photo.png", "gone"), Unreadable()
    sample = Sample("photo", np.zeros((1, 1, 3), np.uint8), np.zeros((1, 1), np.int64), None)
    for failed in (5, 4):
        reads.sift([Drawn(sample, (error,) * failed)])
    for _ in range(4):
        assert reads.sift([Drawn(sample, ()), Drawn(sample, ())])[1] == []


def test_an_error_in_a_worker_ends_the_process(tmp_path: Path) -> None:
    """Workers do not heed signals, and must not be waited for."""
    code = (
        "import sys\n"
        "from ccfpse.data.layouts import open_dataset\n"
        "from ccfpse.training.config import TrainConfig\n"
        "from ccfpse.training.stream import batches\n"
        "class Faulty(type(open_dataset(sys.argv[1]))):\n"
        "    def sample(self, *_):\n"
        "        raise RuntimeError('a fault of its own')\n"
        "next(batches(Faulty(sys.argv[1]), TrainConfig(), 0))\n"
    )
    command = [sys.executable, "-c", code, str(write_data(tmp_path / "data"))]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 1
    assert "RuntimeError: a fault of its own" in result.stderr


def test_a_file_system_without_locks_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.lockf", refuse)
    with RunFolder(tmp_path).locked():
        assert "no locks here" in capsys.readouterr().err


def test_a_second_process_is_kept_out(tmp_path: Path) -> None:
    hold = (
        "import fcntl, sys; file = open(sys.argv[1], 'w'); fcntl.lockf(file, fcntl.LOCK_EX);"
        "file.write('process 7 on elsewhere'); file.flush(); print('held', flush=True); sys.stdin.read()"
    )
    folder = RunFolder(tmp_path)
    command = [sys.executable, "-c", hold, str(folder.lock)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(ValueError, match=r"trains here \(process 7 on elsewhere\)"), folder.locked():
            pass
        other.communicate()
    with folder.locked():
        pass
