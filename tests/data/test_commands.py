"""The data commands as users call them."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from dataset_files import ade20k, make_folder

from ccfpse.data.shard_writer import write_shards

Call = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize(
    "words",
    [
        ("data", "check", "URL"),
        ("data", "shard", "URL", "OUT"),
        ("train", "URL", "--out", "OUT"),
        ("evaluate", "--generated", "OUT", "--data", "URL"),
        ("train-segmenter", "URL"),
    ],
)
def test_urls_reach_the_data_sets(tmp_path: Path, call: Call, words: tuple[str, ...]) -> None:
    pytest.importorskip("fsspec")
    named = {"URL": "memory://nowhere/here", "OUT": str(tmp_path / "out")}
    status, _, said = call(*(named.get(word, word) for word in words))
    assert status == 2
    assert "memory://nowhere/here: no such folder" in said


def test_shards_behind_a_url_are_checked(tmp_path: Path, call: Call) -> None:
    fsspec = pytest.importorskip("fsspec")
    write_shards(make_folder(tmp_path / "set"), tmp_path / "shards")
    fsspec.filesystem("memory").put(str(tmp_path / "shards") + "/", "/checked/", recursive=True)
    status, said, _ = call("data", "check", "memory://checked", "--contact-sheet", tmp_path / "sheet.png")
    assert (status, "3 train" in said) == (0, True)


@pytest.mark.skipif(sys.platform != "linux", reason="file systems elsewhere refuse such names")
def test_names_that_are_no_text_are_printed(tmp_path: Path) -> None:
    make_folder(tmp_path, count=1)
    (tmp_path / "train/labels/photo0.png").rename(tmp_path / "train/labels" / os.fsdecode(b"fa\xe7ade.png"))
    command = [sys.executable, "-m", "ccfpse", "data", "check", tmp_path]
    command += ["--contact-sheet", tmp_path / "sheet.png"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (result.returncode, result.stderr.count("Traceback")) == (1, 0)
    assert r"train/labels/fa\udce7ade.png: has no photo" in result.stdout


def test_a_folder_around_the_data_set_is_told(tmp_path: Path, call: Call) -> None:
    ade20k(tmp_path / "ADEChallengeData2016")
    status, _, said = call("data", "check", tmp_path)
    assert status == 2
    assert said.endswith(f"but ADEChallengeData2016 in it is one; give {tmp_path}/ADEChallengeData2016\n")


def test_each_fault_is_one_line_and_progress_is_shown(tmp_path: Path, call: Call) -> None:
    """Without a terminal there are 80 columns."""
    source = ade20k(tmp_path / "ade")
    long = "a-name-that-goes-on-and-on" * 4
    (source / f"images/training/{long}.jpg").write_bytes(b"broken")
    cure = "add it to annotations/training or remove this file"
    fault = f"  images/training/{long}.jpg: has no label map; {cure}\n"
    for words in (
        ("check", source, "--contact-sheet", tmp_path / "sheet.png"),
        ("convert", "ade20k", source, tmp_path / "out"),
        ("shard", source, tmp_path / "shards"),
    ):
        status, said, progress = call("data", *words)
        assert status == 1
        assert fault in said
        assert "train" in progress
