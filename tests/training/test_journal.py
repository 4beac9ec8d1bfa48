"""What a run says of itself besides its numbers."""

import io
import json
import math
from pathlib import Path

import pytest
from rich.console import Console
from tiny_data import TINY, write_data

from ccfpse.presets import resolve
from ccfpse.training import journal, loop
from ccfpse.training.report import Log


def test_numbers_that_are_none_become_null(tmp_path: Path) -> None:
    log = Log(tmp_path / "log.jsonl", 0)
    log.write(images=2, gan=math.nan, d_real=math.inf, d_fake=1 / 3)
    log.close()
    assert json.loads((tmp_path / "log.jsonl").read_text()) == {
        "images": 2,
        "gan": None,
        "d_real": None,
        "d_fake": 0.333333,
    }


def test_without_a_terminal_a_line_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "LINE_EVERY_SECONDS", 0.0)
    console = Console(file=io.StringIO(), width=200)
    settings = resolve("facades", None, TINY | {"images": "6"})
    loop.train(write_data(tmp_path / "data"), tmp_path / "run", settings, console=console)
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue()
    assert "4 of 6 images, 0.0 h left: gan " in lines
