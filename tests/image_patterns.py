"""Images by formula, so that numbers recorded on them need no recorded images."""

import torch
from torch import Tensor


def pattern(count: int, height: int, width: int) -> Tensor:
    """N×3×H×W float in [0, 1]."""
    c = torch.arange(3.0).view(1, 3, 1, 1)
    k = torch.arange(1.0, count + 1).view(count, 1, 1, 1)
    y = torch.arange(float(height)).view(1, 1, height, 1)
    x = torch.arange(float(width)).view(1, 1, 1, width)
    return 0.5 + 0.25 * torch.sin(0.11 * k * y + c) + 0.25 * torch.cos(0.07 * x * (c + 1) - k)
