"""The conditional convolution of a strip, for inference: tap-major kernels, in place, no autograd.

Kernels predicted tap-major in channels_last memory give every tap as a contiguous run of channels, so each of
the nine multiply-adds is one pass over memory, in place.
"""

import torch

from ccfpse.ops import _triton


def cond_conv_strip(window: torch.Tensor, kernels: torch.Tensor) -> torch.Tensor:
    """Applies one strip of kernels to the same rows of every sample.

    Args:
        window: N×C×(R+2)×(W+2), the strip's rows of x and one more pixel on every side (zero beyond
            the image).
        kernels: 1×9C×R×W, tap-major: channel t·C + c holds tap t = 3u + v of channel c.

    Returns:
        N×C×R×W in x's dtype. On a GPU the sum is float32; on a CPU it is kept in x's dtype.
    """
    c = window.shape[1]
    rows, width = kernels.shape[2:]
    if window.is_cuda:
        x, by_channel = window[:, :, :, 1:-1], kernels.unflatten(1, (9, c)).transpose(1, 2)
        if _triton.unsupported(x, by_channel) is None:
            return _triton.apply(x, by_channel, row_offset=1)
    taps = kernels.split(c, dim=1)
    y = torch.empty_like(window[:, :, :rows, :width], memory_format=torch.channels_last)
    torch.mul(window[:, :, :rows, :width], taps[0], out=y)
    for tap, kernel in enumerate(taps[1:], start=1):
        u, v = divmod(tap, 3)
        y.addcmul_(window[:, :, u : u + rows, v : v + width], kernel)
    return y
