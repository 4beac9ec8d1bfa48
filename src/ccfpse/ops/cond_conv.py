"""The conditional convolution's public face: checks, and the choice of a backend."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch

from ccfpse.ops import _reference, _taps, _triton, predicted

BACKENDS = ("auto", "reference", "taps", "triton")
_preferred: ContextVar[str] = ContextVar("preferred_backend", default="auto")


@contextmanager
def use_backend(backend: str) -> Iterator[None]:
    """Makes `backend` what "auto" means within the block, for every conditional convolution of a model.

    With "reference" a model computes all else, too, as the papers' equations read.
    """
    _check_backend(backend)
    token = _preferred.set(backend)
    try:
        yield
    finally:
        _preferred.reset(token)


def preferred_backend() -> str:
    """What "auto" means now."""
    return _preferred.get()


def cond_conv(x: torch.Tensor, weight: torch.Tensor, *, backend: str = "auto") -> torch.Tensor:
    """Convolves every pixel with a 3×3 depthwise kernel of its own (zero padding 1).

    y[n,c,i,j] = Σ_{u,v<3} x_pad[n,c,i+u,j+v] · weight[n, 9c+3u+v, i, j]  (Liu et al. 2019, equation 1).

    Args:
        x: N×C×H×W, floating point.
        weight: N×(9·C)×H×W, channel-major; N may be 1, then the batch shares the kernels. Same dtype and
            device as x.
        backend: "auto", "reference" (the equation, for checks), "taps" (any device), or "triton" (CUDA).

    Returns:
        N×C×H×W of x's dtype, differentiable once with respect to x and weight.

    Raises:
        ValueError: naming the shape, dtype or device that does not fit, or why a forced backend cannot run.
    """
    _check_backend(backend)
    x, weight = _as_autocast(x), _as_autocast(weight)
    _check_x(x)
    _check_same("weight", weight, x)
    n, c, h, w = x.shape
    if weight.ndim != 4 or tuple(weight.shape[1:]) != (9 * c, h, w) or len(weight) not in (1, n):
        raise ValueError(
            f"weight has shape {tuple(weight.shape)}, but x of shape {tuple(x.shape)} needs "
            f"({n} or 1, {9 * c}, {h}, {w}): nine kernel elements per channel and pixel, channel-major"
        )
    chosen = _chosen(backend, x, weight)
    if chosen == "reference":
        return _reference.cond_conv(x, weight)
    if chosen == "triton":
        return _triton.cond_conv_triton(x, weight)
    return _taps.cond_conv(x, weight)


def predicted_cond_conv(
    x: torch.Tensor,
    hidden: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    *,
    backend: str = "auto",
    keep_kernels: bool = False,
) -> torch.Tensor:
    """`cond_conv` with the kernels conv(hidden; weight, bias), which are never held in memory whole.

    Args:
        x: N×C×H×W, floating point.
        hidden: N×K×H×W; N may be 1, then the batch shares the kernels.
        weight: (9·C)×K×k×k with k = 1 or 3 (zero padding keeps H×W).
        bias: 9·C, or None.
        backend: "auto", "taps" or "triton" predict and apply strip by strip; "reference" holds the kernels
            (for checks).
        keep_kernels: keep them all the same, N×9C×H×W, for a backward pass that need not predict again: a
            quarter less time where prediction is what takes it.

    Returns:
        N×C×H×W of x's dtype, differentiable once with respect to every tensor.

    Raises:
        ValueError: naming the shape, dtype or device that does not fit, or why a forced backend cannot run.
    """
    _check_backend(backend)
    x, hidden, weight = _as_autocast(x), _as_autocast(hidden), _as_autocast(weight)
    bias = None if bias is None else _as_autocast(bias)
    _check_x(x)
    n, c, h, w = x.shape
    for name, tensor in (("hidden", hidden), ("weight", weight), ("bias", bias)):
        if tensor is not None:
            _check_same(name, tensor, x)
    if hidden.ndim != 4 or tuple(hidden.shape[2:]) != (h, w) or len(hidden) not in (1, n):
        raise ValueError(
            f"hidden has shape {tuple(hidden.shape)}, but x of shape {tuple(x.shape)} needs "
            f"({n} or 1, K, {h}, {w})"
        )
    k = weight.shape[-1]
    if tuple(weight.shape) != (9 * c, hidden.shape[1], k, k) or k not in (1, 3):
        raise ValueError(
            f"weight has shape {tuple(weight.shape)}, but x with {c} channels and hidden with "
            f"{hidden.shape[1]} need ({9 * c}, {hidden.shape[1]}, k, k) with k = 1 or 3"
        )
    if bias is not None and tuple(bias.shape) != (9 * c,):
        raise ValueError(
            f"bias has shape {tuple(bias.shape)}, expected ({9 * c},): one per kernel element and channel"
        )
    chosen = _chosen(backend, x, hidden)
    if chosen == "reference":
        return _reference.predicted_cond_conv(x, hidden, weight, bias)
    keep = keep_kernels and torch.is_grad_enabled()
    return predicted.predicted_cond_conv(x, hidden, weight, bias, keep, chosen == "triton")[0]


def _chosen(backend: str, x: torch.Tensor, other: torch.Tensor) -> str:
    """ "reference", "taps" or "triton"; ValueError where the last is forced and cannot run on the tensors."""
    chosen = _preferred.get() if backend == "auto" else backend
    if chosen == "triton" or (chosen == "auto" and x.is_cuda):
        reason = _triton.unsupported(x, other)
        if reason is None:
            return "triton"
        if chosen == "triton":
            raise ValueError(f"backend 'triton' cannot run here: {reason}")
    return "reference" if chosen == "reference" else "taps"


def _as_autocast(tensor: torch.Tensor) -> torch.Tensor:
    """Inside autocast the tensor in its dtype, as a convolution of PyTorch's would take it."""
    device = tensor.device.type
    available = torch.amp.is_autocast_available(device)  # it is not on the meta device
    if not available or not torch.is_autocast_enabled(device) or not tensor.is_floating_point():
        return tensor
    return tensor.to(torch.get_autocast_dtype(device))


def _check_backend(backend: str) -> None:
    if backend not in BACKENDS:
        raise ValueError(f"backend {backend!r} is not known; choose one of {', '.join(BACKENDS)}")


def _check_x(x: torch.Tensor) -> None:
    if x.ndim != 4 or 0 in x.shape:
        raise ValueError(f"x has shape {tuple(x.shape)}, expected N×C×H×W with every dimension 1 or more")
    if not x.is_floating_point():
        raise ValueError(f"x is {x.dtype}, expected a floating point tensor; convert it with x.float()")


def _check_same(name: str, tensor: torch.Tensor, x: torch.Tensor) -> None:
    if tensor.dtype != x.dtype or tensor.device != x.device:
        raise ValueError(
            f"{name} is {tensor.dtype} on {tensor.device}, but x is {x.dtype} on {x.device}; they must agree"
        )
