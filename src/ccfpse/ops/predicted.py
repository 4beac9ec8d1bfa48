"""Predict and apply in strips: V = conv(hidden; weight, bias) lives for a few rows only.

At 256² and 128 channels the kernels of one image take 302 MB; here a strip of rows is predicted, applied
while it is in the cache, and dropped. The forward pass saves x and hidden; the backward pass predicts each
strip again and sends the gradients on to x, hidden, weight and bias.
"""

import torch
import torch.nn.functional as F

from ccfpse.ops import _taps

# A strip of kernels should stay in the last-level cache between being written by the prediction and read by
# the taps.
STRIP_BYTES = 4 << 20


def strips(hidden: torch.Tensor, outputs: int) -> list[tuple[int, int]]:
    """Row ranges [top, bottom) whose predicted kernels take about `STRIP_BYTES` each, one row at least."""
    n, _, height, width = hidden.shape
    rows = max(1, STRIP_BYTES // (n * outputs * width * hidden.element_size()))
    return [(top, min(top + rows, height)) for top in range(0, height, rows)]


def _pad_rows(hidden: torch.Tensor, margin: int) -> torch.Tensor:
    return F.pad(hidden, (0, 0, margin, margin)) if margin else hidden


@torch.library.custom_op("ccfpse::predicted_cond_conv", mutates_args=())
def predicted_cond_conv(
    x: torch.Tensor, hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None
) -> torch.Tensor:
    """Shapes as in `ccfpse.ops.predicted_cond_conv`, already checked."""
    margin = weight.shape[-1] // 2
    x_pad, hidden_pad = F.pad(x, (1, 1, 1, 1)), _pad_rows(hidden, margin)
    parts = [
        _taps.apply(
            x_pad[:, :, top : bottom + 2],
            F.conv2d(
                hidden_pad[:, :, top : bottom + 2 * margin], weight, bias, padding=(0, margin)
            ).contiguous(),
        )
        for top, bottom in strips(hidden, len(weight))
    ]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)


@predicted_cond_conv.register_fake
def _(x: torch.Tensor, hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    return x.new_empty(x.shape)


@torch.library.custom_op("ccfpse::predicted_cond_conv_backward", mutates_args=())
def _backward_op(
    grad: torch.Tensor,
    x: torch.Tensor,
    hidden: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    margin = weight.shape[-1] // 2
    x_pad, hidden_pad = F.pad(x, (1, 1, 1, 1)), _pad_rows(hidden, margin)
    grad_x = torch.zeros_like(x_pad, dtype=torch.promote_types(x.dtype, torch.float32))
    grad_hidden, grad_weight = torch.zeros_like(hidden_pad), torch.zeros_like(weight)
    grad_bias = weight.new_zeros(len(weight))
    for top, bottom in strips(hidden, len(weight)):
        rows = hidden_pad[:, :, top : bottom + 2 * margin].contiguous()
        kernels = F.conv2d(rows, weight, bias, padding=(0, margin)).contiguous()
        grad_kernels = _taps.gradients(
            grad[:, :, top:bottom], x_pad[:, :, top : bottom + 2], kernels, grad_x[:, :, top : bottom + 2]
        )
        to_rows, to_weight, to_bias = torch.ops.aten.convolution_backward(
            grad_kernels,
            rows,
            weight,
            [len(weight)],
            [1, 1],
            [0, margin],
            [1, 1],
            False,
            [0, 0],
            1,
            [True] * 3,
        )
        grad_hidden[:, :, top : bottom + 2 * margin] += to_rows
        grad_weight += to_weight
        grad_bias += to_bias
    return (
        grad_x[:, :, 1:-1, 1:-1].to(x.dtype).contiguous(),
        grad_hidden[:, :, margin : margin + hidden.shape[2]].contiguous(),
        grad_weight,
        grad_bias,
    )


@_backward_op.register_fake
def _(
    grad: torch.Tensor,
    x: torch.Tensor,
    hidden: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    return (
        x.new_empty(x.shape),
        hidden.new_empty(hidden.shape),
        torch.empty_like(weight),
        weight.new_empty(len(weight)),
    )


def _setup_context(ctx, inputs, output) -> None:  # type: ignore[no-untyped-def]
    ctx.save_for_backward(*inputs)


def _backward(ctx, grad):  # type: ignore[no-untyped-def]
    x, hidden, weight, bias = ctx.saved_tensors
    grad_x, grad_hidden, grad_weight, grad_bias = _backward_op(grad, x, hidden, weight, bias)
    return grad_x, grad_hidden, grad_weight, None if bias is None else grad_bias


predicted_cond_conv.register_autograd(_backward, setup_context=_setup_context)
