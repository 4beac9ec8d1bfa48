"""Fréchet Inception distance (Heusel et al., NeurIPS 2017, arXiv 1706.08500)."""

import torch
from torch import Tensor

from ccfpse.metrics.moments import Moments

UNBIASED_ENOUGH = 2048  # images; below, the covariance of 2048 features is singular and the bias dominates


def frechet_distance(first: Moments, second: Moments) -> float:
    """|μ₁ − μ₂|² + tr(Σ₁ + Σ₂ − 2 (Σ₁Σ₂)^½), squared as the papers report it.

    The trace of the root is Σ √λ over the eigenvalues of Σ₁^½ Σ₂ Σ₁^½, which is symmetric: no complex
    numbers, and singular covariances (fewer images than features) need no offset.
    """
    covariance, other = first.covariance, second.covariance
    root = _square_root(covariance)
    eigenvalues = torch.linalg.eigvalsh(root @ other @ root)
    cross = eigenvalues.clamp(min=0).sqrt().sum()
    distance = (first.mean - second.mean).square().sum() + covariance.trace() + other.trace() - 2 * cross
    return max(float(distance), 0.0)  # rounding may leave −1e-6 for equal samples


def _square_root(matrix: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.T
