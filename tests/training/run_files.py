"""What runs leave behind, compared, and what they say."""

import json
import re
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


def resumed_at(said: str) -> int:
    """At how many images a run went on, by what it said; 0 where it began anew."""
    found = re.search(r"resuming .* at (\d+) of ", " ".join(said.split()))
    return int(found[1]) if found else 0
