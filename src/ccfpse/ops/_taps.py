"""Nine shifted multiply-adds: the conditional convolution without unfolding the input.

A tap (u, v) multiplies x shifted by (u-1, v-1) with every ninth channel of the kernels. Shifted views of a
padded input are cheap, so forward and both gradients touch each kernel element once and allocate nothing of
9·C channels (save the gradient of the kernels, which has that size by nature).
"""

import torch
import torch.nn.functional as F

TAPS = [(u, v) for u in range(3) for v in range(3)]


def apply(x_pad: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """x_pad N×C×(H+2)×(W+2), weight N×9C×H×W (or 1×9C×H×W) -> N×C×H×W, accumulated in float32 at least."""
    n, c = x_pad.shape[:2]
    h, w = weight.shape[-2:]
    kernels = weight.view(-1, c, 9, h, w)
    y = x_pad.new_zeros((n, c, h, w), dtype=_accumulator(x_pad.dtype))
    for tap, (u, v) in enumerate(TAPS):
        y.addcmul_(x_pad[:, :, u : u + h, v : v + w], kernels[:, :, tap])
    return y.to(x_pad.dtype)


def gradients(
    grad: torch.Tensor, x_pad: torch.Tensor, weight: torch.Tensor, grad_x_pad: torch.Tensor
) -> torch.Tensor:
    """Adds the gradient of x to `grad_x_pad` (in place, N×C×(H+2)×(W+2))
    and returns the gradient of the kernels.
    """
    n, c, h, w = grad.shape
    kernels = weight.view(-1, c, 9, h, w)
    grad_kernels = torch.empty_like(kernels)
    for tap, (u, v) in enumerate(TAPS):
        window = x_pad[:, :, u : u + h, v : v + w]
        if len(kernels) == n:
            torch.mul(grad, window, out=grad_kernels[:, :, tap])
        else:  # one kernel for the whole batch
            grad_kernels[:, :, tap] = (grad * window).sum(0, keepdim=True)
        grad_x_pad[:, :, u : u + h, v : v + w].addcmul_(grad, kernels[:, :, tap])
    return grad_kernels.view(weight.shape)


def _accumulator(dtype: torch.dtype) -> torch.dtype:
    return torch.float32 if dtype in (torch.float16, torch.bfloat16) else dtype


@torch.library.custom_op("ccfpse::cond_conv_taps", mutates_args=())
def cond_conv(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """The conditional convolution by taps; shapes as in `ccfpse.ops.cond_conv`, already checked."""
    return apply(F.pad(x, (1, 1, 1, 1)), weight.contiguous())


@cond_conv.register_fake
def _(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return x.new_empty(x.shape)


@torch.library.custom_op("ccfpse::cond_conv_taps_backward", mutates_args=())
def _backward_op(
    grad: torch.Tensor, x: torch.Tensor, weight: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    x_pad = F.pad(x, (1, 1, 1, 1))
    grad_x_pad = torch.zeros_like(x_pad, dtype=_accumulator(x.dtype))
    grad_weight = gradients(grad, x_pad, weight.contiguous(), grad_x_pad)
    return grad_x_pad[:, :, 1:-1, 1:-1].to(x.dtype).contiguous(), grad_weight


@_backward_op.register_fake
def _(grad: torch.Tensor, x: torch.Tensor, weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return x.new_empty(x.shape), weight.new_empty(weight.shape)


def _setup_context(ctx, inputs, output) -> None:  # type: ignore[no-untyped-def]
    ctx.save_for_backward(*inputs)


def _backward(ctx, grad):  # type: ignore[no-untyped-def]
    return _backward_op(grad, *ctx.saved_tensors)


cond_conv.register_autograd(_backward, setup_context=_setup_context)
