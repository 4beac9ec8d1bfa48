"""Kernel Inception distance (Bińkowski et al., ICLR 2018, arXiv 1801.01401)."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class KidEstimate:
    """KID (not multiplied by 1000), its standard error, and the number of images in each subset."""

    value: float
    standard_error: float
    subset_size: int


def polynomial_kernel(first: Tensor, second: Tensor) -> Tensor:
    """(x·y / D + 1)³ of all pairs: N×D and M×D to N×M."""
    return (first @ second.T / first.shape[1] + 1) ** 3


def mmd2(first: Tensor, second: Tensor) -> float:
    """The unbiased estimate of the squared maximum mean discrepancy between two samples N×D and M×D."""

    def within(sample: Tensor) -> Tensor:
        kernel = polynomial_kernel(sample, sample)
        return (kernel.sum() - kernel.trace()) / (len(sample) * (len(sample) - 1))

    return float(within(first) + within(second) - 2 * polynomial_kernel(first, second).mean())


def kid(
    real: Tensor, generated: Tensor, *, subsets: int = 100, subset_size: int = 1000, seed: int = 0
) -> KidEstimate:
    """Mean of `mmd2` over random subsets of both samples N×D and M×D, and its standard error.

    Subsets hold `subset_size` images, or half of the smaller sample where that is less. They are drawn
    without replacement and overlap, so their spread is not the error of the mean; it is rescaled by
    m / (n − m), the delete-d jackknife (Shao and Wu, 1989), n the smaller sample's size, m the subset's.
    Raises ValueError for fewer than four images on either side.
    """
    smaller = min(len(real), len(generated))
    if smaller < 4:
        raise ValueError(
            f"KID needs four images at least on either side, got {len(real)} and {len(generated)}"
        )
    size = min(subset_size, smaller // 2)
    real, generated = real.double(), generated.double()
    generator = torch.Generator().manual_seed(seed)

    def draw(sample: Tensor) -> Tensor:
        return sample[torch.randperm(len(sample), generator=generator)[:size]]

    values = torch.tensor([mmd2(draw(real), draw(generated)) for _ in range(subsets)], dtype=torch.float64)
    error = float(values.std()) * (size / (smaller - size)) ** 0.5
    return KidEstimate(float(values.mean()), error, size)
