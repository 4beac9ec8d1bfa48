"""What a machine cannot give is told in a sentence."""

from pathlib import Path

import pytest
import torch
from tiny_data import TINY, write_data

from ccfpse.presets import resolve
from ccfpse.training import loop
from ccfpse.training.hardware import in_words

MORE_THAN_ANY_MACHINE_HAS = 1 << 50


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
            "less is used with --compute",
        ),
        (
            torch.AcceleratorError("CUDA error: out of memory\nSearch for `cudaErrorMemoryAllocation'. More"),
            r"the GPU's memory does not suffice \(CUDA error: out of memory\); less is used",
        ),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "), r"pid 7.*workers=0"),
    ],
)
def test_errors_become_sentences(error: RuntimeError, message: str) -> None:
    with pytest.raises(ValueError, match=message), in_words():
        raise error


def test_memory_of_the_cpu_is_told_wherever_a_run_asks_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(*_: object) -> None:
        torch.empty(MORE_THAN_ANY_MACHINE_HAS, dtype=torch.uint8)

    monkeypatch.setattr(loop, "build", build)
    data = write_data(tmp_path / "data")
    with pytest.raises(ValueError, match=r"the machine's memory does not suffice \(.*memory: .*; less is"):
        loop.train(data, tmp_path / "run", resolve("facades", None, TINY))


def test_other_errors_stay() -> None:
    with pytest.raises(RuntimeError, match="shapes"), in_words():
        raise RuntimeError("shapes do not fit")
    with pytest.raises(RuntimeError, match="Caught"), in_words():
        raise RuntimeError("Caught RuntimeError in DataLoader worker process 1.")
