"""The definition of the conditional convolution; every fast path is tested against it."""

import torch
import torch.nn.functional as F


def cond_conv(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """y[n,c,i,j] = Σ_{u,v<3} x_pad[n,c,i+u,j+v] · V[n,c,u,v,i,j]: the paper's equation, term by term."""
    n, c, h, w = x.shape
    windows = F.unfold(x, kernel_size=3, padding=1).view(n, c, 9, h, w)
    kernels = weight.reshape(-1, c, 9, h, w)
    return (windows * kernels).sum(dim=2)


def predicted_cond_conv(
    x: torch.Tensor, hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None
) -> torch.Tensor:
    """The same with V = conv(hidden; weight, bias), held in memory whole."""
    return cond_conv(x, F.conv2d(hidden, weight, bias, padding=weight.shape[-1] // 2))
