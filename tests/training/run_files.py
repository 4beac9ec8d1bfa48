"""What runs leave behind, compared; and files for them to stumble over."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file


def log_of(run: Path) -> list[dict[str, Any]]:
    """The lines of a run's log without what depends on the machine."""
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    for line in lines:
        for name in ("images_per_second", "memory_mb"):
            line.pop(name, None)
    return lines


def assert_same_run(a: Path, b: Path) -> None:
    """Bit for bit."""
    for name in ("state.safetensors", "model.safetensors"):
        first, second = load_file(a / name), load_file(b / name)
        assert first.keys() == second.keys()
        assert [key for key in first if not torch.equal(first[key], second[key])] == []
    assert log_of(a) == log_of(b)
