"""What a machine cannot give, told in a sentence with its cure."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def in_words() -> Iterator[None]:
    """Turns PyTorch's errors about memory and lost workers into ValueError."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise ValueError(
            f"the GPU's memory does not suffice ({str(error).partition('. ')[0]}); less is used with "
            "--compute.checkpointing=full, with --compute.precision=bfloat16, or in a new run with a smaller "
            "batch, --compute.accumulate or a smaller data.size"
        ) from error
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise ValueError(
            f"a process that reads the data was lost ({str(error).partition('.')[0]}): the machine may be "
            "short of memory; the same command goes on from the last state on disk, with --data.workers=0 in "
            "one process"
        ) from error
