"""The R1 penalty (Mescheder et al. 2018): the discriminator's gradient at photos is kept small."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch


def gradient_penalty(scores: Sequence[torch.Tensor], photo: torch.Tensor) -> torch.Tensor:
    """Mean over the batch of ‖∂s/∂ photo‖², s the mean score of a photo over places, then over scales."""
    mean = torch.stack([score.flatten(1).mean(1) for score in scores]).mean(0)
    (gradient,) = torch.autograd.grad(mean.sum(), photo, create_graph=True)
    if not gradient.requires_grad:
        raise RuntimeError("the derivative at photos is constant")
    return gradient.square().sum((1, 2, 3)).mean()


@contextmanager
def second_derivatives() -> Iterator[None]:
    """Turns PyTorch's error about a layer that can be differentiated once only into one with the cure."""
    try:
        yield
    except RuntimeError as error:
        if "differentia" in str(error) or "derivative" in str(error):
            reason = str(error).partition("\n")[0]
            raise ValueError(
                f"small_data.r1 needs a discriminator that can be differentiated twice, and this one cannot "
                f"({reason}); set small_data.r1=0"
            ) from error
        raise
