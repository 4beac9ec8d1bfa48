"""Files of tensors that others wrote: read without running code, what is wrong with them told by name."""

import pickle
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

# What readers raise for files that are cut off, overwritten or of another kind.
DAMAGED = (
    SafetensorError,
    pickle.UnpicklingError,
    RuntimeError,
    OSError,
    EOFError,
    ValueError,
    LookupError,
    AssertionError,
)
NO_STATE_DICT = "not a state dict of tensors; save the network's own state_dict() under this name"


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """Tensors of a `.safetensors` file or a `.pth` state dict (`weights_only=True`), floats as float32.

    Raises ValueError, naming the file, where it is damaged or holds something else.
    """
    path = Path(path)
    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except (FileNotFoundError, PermissionError):
        raise
    except DAMAGED as error:
        if lacks_memory(error):
            raise
        if "Unsupported global" in str(error):
            raise ValueError(f"{path}: {NO_STATE_DICT}") from error
        # The first sentence alone: PyTorch's next ones advise against `weights_only`.
        what = str(error).strip().partition("\n")[0].partition(". ")[0] or "it ends too early"
        raise ValueError(
            f"{path}: not a readable file of weights ({what}); delete it and download it again"
        ) from error
    if not isinstance(state, dict) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in state.items()
    ):
        raise ValueError(f"{path}: {NO_STATE_DICT}")
    return {key: value.float() if value.is_floating_point() else value for key, value in state.items()}


def lacks_memory(error: BaseException) -> bool:
    """Whether the machine's memory is at fault, not the file."""
    return "DefaultCPUAllocator" in str(error)
