"""What a machine cannot give, told in a sentence with its cure."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

LESS_MEMORY = (
    "less is used with --compute.checkpointing=full, with --compute.precision=bfloat16, or in a new run with "
    "a smaller batch, --compute.accumulate or a smaller data.size"
)


@contextmanager
def in_words() -> Iterator[None]:
    """Turns PyTorch's errors about memory and lost workers into ValueError."""
    try:
        yield
    except RuntimeError as error:
        if (sentence := _sentence(error)) is None:
            raise
        raise ValueError(sentence) from error


def _sentence(error: RuntimeError) -> str | None:
    """None for an error about something else."""
    said = str(error).partition("\n")[0]
    if isinstance(error, torch.OutOfMemoryError) or "CUDA error: out of memory" in said:
        return f"the GPU's memory does not suffice ({said.partition('. ')[0]}); {LESS_MEMORY}"
    _, found, asked = said.partition("DefaultCPUAllocator: ")
    if found:
        return f"the machine's memory does not suffice ({asked.partition('. ')[0]}); {LESS_MEMORY}"
    if "DataLoader worker" in said and "Caught " not in said:  # caught: an error of its own
        return (
            f"a process that reads the data was lost ({said.partition('.')[0]}): the machine may be "
            "short of memory; the same command goes on from the last state on disk, with --data.workers=0 in "
            "one process"
        )
    return None
