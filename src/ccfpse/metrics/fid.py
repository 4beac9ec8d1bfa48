"""Fréchet Inception distance (Heusel et al., NeurIPS 2017, arXiv 1706.08500)."""

import torch

from ccfpse.metrics.moments import Moments

UNBIASED_ENOUGH = 2048  # images; below, the covariance of 2048 features is singular and the bias dominates


def frechet_distance(first: Moments, second: Moments) -> float:
    """|μ₁ − μ₂|² + tr(Σ₁ + Σ₂ − 2 (Σ₁Σ₂)^½), squared as the papers report it.

    The trace of the root is Σ √λ over the eigenvalues of AᵀΣ₂A with AAᵀ = Σ₁, which is symmetric: no complex
    numbers, and singular covariances need no offset. Σ₁ is that of fewer images, n of them: its rank is at
    most n − 1, so that A has few columns where there are fewer images than features.
    """
    fewer, other = sorted((first, second), key=lambda moments: moments.count)
    covariance, others = fewer.covariance, other.covariance
    values, vectors = torch.linalg.eigh(covariance)  # the largest last
    rank = min(len(values), fewer.count - 1)
    half = vectors[:, -rank:] * values[-rank:].clamp(min=0).sqrt()
    eigenvalues = torch.linalg.eigvalsh(half.T @ others @ half)
    cross = eigenvalues.clamp(min=0).sqrt().sum()
    distance = (fewer.mean - other.mean).square().sum() + covariance.trace() + others.trace() - 2 * cross
    return max(float(distance), 0.0)  # rounding may leave −1e-6 for equal samples
