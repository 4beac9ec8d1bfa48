"""Predict and apply in strips: V = conv(hidden; weight, bias) lives for a few rows only.

At 256² and 128 channels the kernels of one image take 302 MB; here a strip of rows is predicted, applied
while it is in the cache, and dropped. The forward pass saves x and hidden; the backward pass predicts each
strip again and sends the gradients on to x, hidden, weight and bias. With memory to spare the kernels may be
kept: then nothing is predicted again. Strips are applied, and their gradients taken, by the nine taps or, on
a GPU, by the Triton kernels.
"""

import torch
import torch.nn.functional as F

from ccfpse.ops import _taps, _triton

# A strip of kernels should stay in the last-level cache between being written by the prediction and read by
# what applies it. GPUs have larger ones and need more work per launch.
STRIP_BYTES = {"cpu": 4 << 20, "cuda": 32 << 20}


def strips(hidden: torch.Tensor, weight: torch.Tensor) -> list[tuple[int, int]]:
    """Row ranges [top, bottom) whose predicted kernels take about `STRIP_BYTES` each, one row at least.

    More than that where the weights, which every strip reads, are larger.
    """
    n, _, height, width = hidden.shape
    wanted = max(STRIP_BYTES["cpu" if hidden.device.type == "cpu" else "cuda"], weight.nbytes)
    rows = max(1, wanted // (n * len(weight) * width * hidden.element_size()))
    return [(top, min(top + rows, height)) for top in range(0, height, rows)]


def _pad_rows(hidden: torch.Tensor, margin: int) -> torch.Tensor:
    return F.pad(hidden, (0, 0, margin, margin)) if margin else hidden


@torch.library.custom_op("ccfpse::predicted_cond_conv", mutates_args=())
def predicted_cond_conv(
    x: torch.Tensor,
    hidden: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    keep: bool,
    triton: bool,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Shapes as in `ccfpse.ops.predicted_cond_conv`, already checked; triton: by its kernels, which can run.

    Returns the result, and the kernels where they are to be kept, else an empty tensor.
    """
    margin = weight.shape[-1] // 2
    applied = _ByTriton(x) if triton else _ByTaps(x)
    hidden_pad = _pad_rows(hidden, margin)
    kept = _kept(hidden, weight, keep)
    parts = []
    for top, bottom in strips(hidden, weight):
        rows = hidden_pad[:, :, top : bottom + 2 * margin]
        kernels = F.conv2d(rows, weight, bias, padding=(0, margin)).contiguous()
        if keep:
            kept[:, :, top:bottom] = kernels
        parts.append(applied.forward(kernels, top))
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=2), kept


class _ByTaps:
    """Applies strips of kernels to x, padded, by shifted multiply-adds."""

    def __init__(self, x: torch.Tensor) -> None:
        self.x = F.pad(x, (1, 1, 1, 1))

    def forward(self, kernels: torch.Tensor, top: int) -> torch.Tensor:
        return _taps.apply(self.x[:, :, top : top + kernels.shape[2] + 2], kernels)

    def backward(
        self, grad: torch.Tensor, kernels: torch.Tensor, top: int, grad_x: torch.Tensor
    ) -> torch.Tensor:
        """Adds to the gradient of `self.x`, and returns that of the kernels."""
        rows = slice(top, top + kernels.shape[2] + 2)
        return _taps.gradients(grad, self.x[:, :, rows], kernels, grad_x[:, :, rows])

    def inside(self, grad_x: torch.Tensor) -> torch.Tensor:
        """The part of `self.x`'s gradient that is x's own."""
        return grad_x[:, :, 1:-1, 1:-1]


class _ByTriton:
    """The same by Triton's kernels, which read x's rows around a strip where they are, in the same memory
    order as the strip's.
    """

    def __init__(self, x: torch.Tensor) -> None:
        self.x = x.contiguous()

    def forward(self, kernels: torch.Tensor, top: int) -> torch.Tensor:
        return _triton.apply(self.x, kernels, top)

    def backward(
        self, grad: torch.Tensor, kernels: torch.Tensor, top: int, grad_x: torch.Tensor
    ) -> torch.Tensor:
        _triton.grad_x(grad, kernels, self.x.shape[2], top, add_to=grad_x)
        return _triton.grad_weight(grad, self.x, kernels, top)

    def inside(self, grad_x: torch.Tensor) -> torch.Tensor:
        return grad_x


def _zeros(x: torch.Tensor) -> torch.Tensor:
    """For sums: float32 at least, contiguous whatever x is."""
    return torch.zeros_like(
        x, dtype=torch.promote_types(x.dtype, torch.float32), memory_format=torch.contiguous_format
    )


def _kept(hidden: torch.Tensor, weight: torch.Tensor, keep: bool) -> torch.Tensor:
    n, _, height, width = hidden.shape
    return hidden.new_empty((n, len(weight), height, width) if keep else 0)


@predicted_cond_conv.register_fake
def _(
    x: torch.Tensor,
    hidden: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    keep: bool,
    triton: bool,
) -> tuple[torch.Tensor, torch.Tensor]:
    return x.new_empty(x.shape), _kept(hidden, weight, keep)


@torch.library.custom_op("ccfpse::predicted_cond_conv_backward", mutates_args=())
def _backward_op(
    grad: torch.Tensor,
    x: torch.Tensor,
    hidden: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    kept: torch.Tensor,
    triton: bool,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    margin = weight.shape[-1] // 2
    applied = _ByTriton(x) if triton else _ByTaps(x)
    hidden_pad = _pad_rows(hidden, margin)
    grad_x = _zeros(applied.x)
    grad_hidden = torch.zeros_like(hidden_pad)
    grad_weight = _zeros(weight)  # of hundreds of strips, which bfloat16 would lose
    grad_bias = grad_weight.new_zeros(len(weight))
    for top, bottom in strips(hidden, weight):
        rows = hidden_pad[:, :, top : bottom + 2 * margin].contiguous()
        if kept.numel():
            kernels = kept[:, :, top:bottom]
        else:
            kernels = F.conv2d(rows, weight, bias, padding=(0, margin)).contiguous()
        grad_kernels = applied.backward(grad[:, :, top:bottom], kernels, top, grad_x)
        pull_back = _by_products if x.device.type == "cpu" else _by_convolution
        to_rows = pull_back(grad_kernels, rows, weight, grad_weight)
        grad_hidden[:, :, top : bottom + 2 * margin] += to_rows
        grad_bias += grad_kernels.sum((0, 2, 3), dtype=grad_bias.dtype)
    return (
        applied.inside(grad_x).to(x.dtype).contiguous(),
        grad_hidden[:, :, margin : margin + hidden.shape[2]].contiguous(),
        grad_weight.to(weight.dtype),
        grad_bias.to(weight.dtype),
    )


def _by_products(
    grad_kernels: torch.Tensor, rows: torch.Tensor, weight: torch.Tensor, grad_weight: torch.Tensor
) -> torch.Tensor:
    """The gradient of a strip's convolution: that of `weight` is added, that of the rows is returned.

    On CPUs two matrix products over the unfolded rows take two thirds of the time of PyTorch's convolutions.
    """
    k = weight.shape[-1]
    matrix, total = weight.flatten(1), grad_weight.flatten(1)
    to_rows = torch.empty_like(rows)
    for grad, one, target in zip(grad_kernels.flatten(2), rows, to_rows, strict=True):
        total += grad @ F.unfold(one, k, padding=(0, k // 2)).T
        target.copy_(F.fold(matrix.T @ grad, one.shape[1:], k, padding=(0, k // 2)))
    return to_rows


def _by_convolution(
    grad_kernels: torch.Tensor, rows: torch.Tensor, weight: torch.Tensor, grad_weight: torch.Tensor
) -> torch.Tensor:
    """The same, by PyTorch's convolutions."""
    padding = [0, weight.shape[-1] // 2]
    outputs = [True, True, False]
    to_rows, to_weight, _ = torch.ops.aten.convolution_backward(
        grad_kernels, rows, weight, None, [1, 1], padding, [1, 1], False, [0, 0], 1, outputs
    )
    grad_weight += to_weight
    return to_rows


@_backward_op.register_fake
def _(
    grad: torch.Tensor,
    x: torch.Tensor,
    hidden: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    kept: torch.Tensor,
    triton: bool,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    return (
        x.new_empty(x.shape),
        hidden.new_empty(hidden.shape),
        weight.new_empty(weight.shape),
        weight.new_empty(len(weight)),
    )


def _setup_context(ctx, inputs, output) -> None:  # type: ignore[no-untyped-def]
    *tensors, _, ctx.triton = inputs
    ctx.save_for_backward(*tensors, output[1])
    ctx.mark_non_differentiable(output[1])


def _backward(ctx, grad, _):  # type: ignore[no-untyped-def]
    x, hidden, weight, bias, kept = ctx.saved_tensors
    grad_x, grad_hidden, grad_weight, grad_bias = _backward_op(
        grad, x, hidden, weight, bias, kept, ctx.triton
    )
    return grad_x, grad_hidden, grad_weight, None if bias is None else grad_bias, None, None


predicted_cond_conv.register_autograd(_backward, setup_context=_setup_context)
