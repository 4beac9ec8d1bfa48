"""The conditional convolution on a GPU: launches of the Triton kernels, and their place in torch's autograd.

Nothing here imports triton before the first launch. `weight` is N×9C×H×W, or any strided N×C×9×H×W view of it
(kernels in channels_last memory are fastest tap-major: channel t·C + c in memory); its N may be 1, then the
batch shares the kernels. x and weight run at full speed when their fastest dimension is the same one. A strip
of kernels, for the rows of x from `row_offset` on, reads the neighbouring rows of x where they are.
"""

import importlib.util
import os
from typing import Any

import torch

TRITON_INSTALLED = importlib.util.find_spec("triton") is not None
DTYPES = (torch.float32, torch.bfloat16, torch.float16)
# A program: 128 threads with 8 bytes of each tap in one load. That keeps enough bytes in flight; wider loads
# would spread the shifted reads, which are unaligned along columns, over more cache lines per instruction.
THREADS, BYTES_PER_THREAD = 128, 8
GRID_LIMIT = 65535  # CUDA's, on the second and third axis


def unsupported(x: torch.Tensor, weight: torch.Tensor) -> str | None:
    """Why the kernels cannot run on these tensors, in one sentence; None when they can."""
    if not TRITON_INSTALLED:
        return "triton is not installed; `pip install triton` (the CUDA builds of torch on Linux bring it)"
    for name, tensor in (("x", x), ("weight", weight)):
        if tensor.dtype not in DTYPES:
            return f"{name} is {tensor.dtype}, and the Triton kernels know float32, bfloat16 and float16"
    if max(x.shape[:2]) > GRID_LIMIT:
        return f"x has shape {tuple(x.shape)}, and the Triton kernels take {GRID_LIMIT} samples and channels"
    if x.device != weight.device:
        return f"x is on {x.device}, but weight is on {weight.device}"
    if not x.is_cuda and not (x.device.type == "cpu" and os.environ.get("TRITON_INTERPRET") == "1"):
        return f"x is on {x.device}, and the Triton kernels need a CUDA device"
    if x.is_cuda and torch.version.hip is None:
        major, minor = torch.cuda.get_device_capability(x.device)
        needed = 8 if torch.bfloat16 in (x.dtype, weight.dtype) else 7
        if major < needed:
            return f"{x.device} has compute capability {major}.{minor}; Triton needs {needed}.0 for {x.dtype}"
    return None


def apply(
    x: torch.Tensor, weight: torch.Tensor, row_offset: int = 0, out: torch.Tensor | None = None
) -> torch.Tensor:
    """y N×C×R×W for R rows of kernels, x's from `row_offset` on; written to `out` if given. No autograd."""
    from ccfpse.ops import _triton_kernels

    n, c, x_rows, width = x.shape
    kernels = _by_tap(weight, c, x_rows, row_offset)
    rows = kernels.shape[3]
    y = _like(x, rows) if out is None else out
    _launch(
        _triton_kernels.apply, kernels, rows,
        *_with_strides(x), *_with_strides(kernels), *_with_strides(y),
        n // len(kernels), c, x_rows, rows, width, row_offset,
    )  # fmt: skip
    return y


def grad_x(
    grad: torch.Tensor,
    weight: torch.Tensor,
    x_rows: int,
    row_offset: int = 0,
    add_to: torch.Tensor | None = None,
) -> torch.Tensor:
    """The gradient of x (N×C×x_rows×W), given that of y. No autograd.

    With `add_to`, the strip's share is added to that tensor (float32 for exact sums), which is returned; only
    the rows that the strip reaches, its own and one on either side, are touched.
    """
    from ccfpse.ops import _triton_kernels

    n, c, rows, width = grad.shape
    kernels = _by_tap(weight, c, x_rows, row_offset)
    if add_to is None:
        first, last, out = 0, x_rows, _like(grad, x_rows)
    else:
        first, last, out = max(row_offset - 1, 0), min(row_offset + rows + 1, x_rows), add_to
    _launch(
        _triton_kernels.grad_x, kernels, last - first,
        *_with_strides(grad), *_with_strides(kernels), *_with_strides(out),
        n // len(kernels), c, rows, width, row_offset, first, ADD=add_to is not None,
    )  # fmt: skip
    return out


def grad_weight(
    grad: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, row_offset: int = 0
) -> torch.Tensor:
    """The gradient of weight in weight's shape, strides and dtype (its values are not read). No autograd."""
    from ccfpse.ops import _triton_kernels

    n, c, x_rows, width = x.shape
    out = torch.empty_like(weight)
    kernels = _by_tap(out, c, x_rows, row_offset)
    rows = kernels.shape[3]
    _launch(
        _triton_kernels.grad_weight, kernels, rows,
        *_with_strides(grad), *_with_strides(x), *_with_strides(kernels),
        n // len(kernels), c, x_rows, rows, width, row_offset,
    )  # fmt: skip
    return out


def _by_tap(weight: torch.Tensor, channels: int, x_rows: int, row_offset: int) -> torch.Tensor:
    """weight as a view N×C×9×R×W whose R rows lie within those of x."""
    kernels = weight.unflatten(1, (channels, 9)) if weight.ndim == 4 else weight
    assert 0 <= row_offset <= x_rows - kernels.shape[3], (row_offset, x_rows, kernels.shape)
    return kernels


def _like(x: torch.Tensor, rows: int) -> torch.Tensor:
    """An empty tensor of `rows` rows in x's memory format."""
    n, c, _, width = x.shape
    channels_last = c > 1 and x.stride(1) == 1
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    return torch.empty((n, c, rows, width), dtype=x.dtype, device=x.device, memory_format=memory_format)


def _with_strides(tensor: torch.Tensor) -> tuple[Any, ...]:
    return tensor, *tensor.stride()


def _launch(kernel: Any, kernels: torch.Tensor, rows: int, *arguments: Any, **constants: Any) -> None:
    """One program per tile of channels × columns, row and set of kernels; a tile is long where memory is."""
    sets, c, _, _, width = kernels.shape
    tile = THREADS * BYTES_PER_THREAD // kernels.element_size()
    block_c, block_w = (1 << (size - 1).bit_length() for size in (c, width))  # rounded up to powers of two
    if c > 1 and kernels.stride(1) < kernels.stride(4):
        block_c = min(block_c, tile)
        block_w = min(block_w, tile // block_c)
    else:
        block_w = min(block_w, tile)
        block_c = min(block_c, tile // block_w)
    tiles_w = -(-width // block_w)
    with torch.cuda.device_of(kernels):
        kernel[(tiles_w * rows, -(-c // block_c), sets)](
            *arguments, tiles_w, BLOCK_C=block_c, BLOCK_W=block_w, **constants,
            num_warps=max(1, min(THREADS, block_c * block_w) // 32), enable_fp_fusion=True,
        )  # fmt: skip


@torch.library.custom_op("ccfpse::cond_conv_triton", mutates_args=())
def cond_conv_triton(x: torch.Tensor, weight: torch.Tensor, row_offset: int = 0) -> torch.Tensor:
    """`apply` with autograd: differentiable once with respect to x and weight."""
    return apply(x, weight, row_offset)


@cond_conv_triton.register_fake
def _(x: torch.Tensor, weight: torch.Tensor, row_offset: int = 0) -> torch.Tensor:
    return _like(x, weight.shape[-2])


@torch.library.custom_op("ccfpse::cond_conv_triton_grad_x", mutates_args=())
def _grad_x_op(grad: torch.Tensor, weight: torch.Tensor, x_rows: int, row_offset: int) -> torch.Tensor:
    return grad_x(grad, weight, x_rows, row_offset)


@_grad_x_op.register_fake
def _(grad: torch.Tensor, weight: torch.Tensor, x_rows: int, row_offset: int) -> torch.Tensor:
    return _like(grad, x_rows)


@torch.library.custom_op("ccfpse::cond_conv_triton_grad_weight", mutates_args=())
def _grad_weight_op(
    grad: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, row_offset: int
) -> torch.Tensor:
    return grad_weight(grad, x, weight, row_offset)


@_grad_weight_op.register_fake
def _(grad: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, row_offset: int) -> torch.Tensor:
    return torch.empty_like(weight)


def _setup_context(ctx, inputs, output) -> None:  # type: ignore[no-untyped-def]
    x, weight, ctx.row_offset = inputs
    ctx.x_rows = x.shape[2]
    ctx.save_for_backward(x if ctx.needs_input_grad[1] else None, weight)


def _backward(ctx, grad):  # type: ignore[no-untyped-def]
    x, weight = ctx.saved_tensors
    to_x, to_weight = ctx.needs_input_grad[:2]
    return (
        _grad_x_op(grad, weight, ctx.x_rows, ctx.row_offset) if to_x else None,
        _grad_weight_op(grad, x, weight, ctx.row_offset) if to_weight else None,
        None,
    )


def _refuse_double_backward(ctx, grad):  # type: ignore[no-untyped-def]
    raise NotImplementedError(
        "the Triton conditional convolution is differentiable once; backend='reference' differentiates twice"
    )


cond_conv_triton.register_autograd(_backward, setup_context=_setup_context)
_grad_x_op.register_autograd(_refuse_double_backward)
_grad_weight_op.register_autograd(_refuse_double_backward)
