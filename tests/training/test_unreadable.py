"""Files that break while a run goes on, and a folder that is in use."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from run_files import assert_same_run, log_of
from tiny_data import TINY, write_data

from ccfpse.data import CorruptSample, Sample
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
