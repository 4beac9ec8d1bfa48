"""What a machine cannot give is told in a sentence."""

import pytest
import torch

from ccfpse.training.hardware import in_words


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
            "less is used with --compute",
        ),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "), r"pid 7.*workers=0"),
    ],
)
def test_errors_become_sentences(error: RuntimeError, message: str) -> None:
    with pytest.raises(ValueError, match=message), in_words():
        raise error


def test_other_errors_stay() -> None:
    with pytest.raises(RuntimeError, match="shapes"), in_words():
        raise RuntimeError("shapes do not fit")
