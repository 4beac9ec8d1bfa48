"""Batch renormalisation: training's result is evaluation's, within the paper's bounds."""

import pytest
import torch
from torch import nn

from ccfpse.models import Generator, GeneratorConfig
from ccfpse.models.layers import BatchRenorm2d


def opened(channels: int) -> BatchRenorm2d:
    """A layer whose bounds are wide open, with statistics unlike N(0, 1)."""
    torch.manual_seed(0)
    norm = BatchRenorm2d(channels)
    norm.num_batches_tracked.fill_(norm.opening_steps)
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2.0)
    nn.init.uniform_(norm.weight)
    nn.init.normal_(norm.bias)
    return norm


def test_training_computes_what_evaluation_computes() -> None:
    norm = opened(3)
    x = torch.randn(2, 3, 5, 4) * 1.5 + 0.7
    expected = norm.eval()(x)
    torch.testing.assert_close(norm.train()(x), expected)


def test_at_the_first_step_it_is_batch_norm() -> None:
    x = torch.randn(2, 3, 5, 4) * 9 + 2
    torch.testing.assert_close(BatchRenorm2d(3)(x), nn.BatchNorm2d(3)(x))


def test_the_correction_is_bounded() -> None:
    norm = opened(1)
    norm.running_mean.zero_()
    norm.running_var.fill_(1.0)
    nn.init.ones_(norm.weight)
    nn.init.zeros_(norm.bias)
    y = norm(torch.randn(2, 1, 64, 64) * 100 + 1000)
    assert y.mean().item() == pytest.approx(5.0, abs=1e-3)
    assert y.std().item() == pytest.approx(3.0, rel=1e-3)


def test_running_statistics_start_as_a_plain_mean_and_gradient_passes_the_batch_statistics() -> None:
    norm = BatchRenorm2d(1)
    batches = [
        torch.full((1, 1, 2, 2), value) + torch.tensor([[-1.0, 1.0], [1.0, -1.0]]) for value in (2.0, 4.0)
    ]
    for batch in batches:
        norm(batch)
    assert norm.running_mean.item() == pytest.approx(3.0)
    assert norm.running_var.item() == pytest.approx(1.0)
    x = torch.randn(2, 1, 3, 3, requires_grad=True)
    norm(x).square().sum().backward()
    assert x.grad is not None
    assert x.grad.sum().item() == pytest.approx(0.0, abs=1e-5)  # a shift of the whole batch changes nothing


def test_the_generator_takes_it_by_name() -> None:
    config = GeneratorConfig(3, size=(32, 32), width=4, style_dim=0, predictor_width=4, norm="batch_renorm")
    generator = Generator(config)
    norms = [module for module in generator.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms
    assert all(isinstance(module, BatchRenorm2d) for module in norms)
    with pytest.raises(ValueError, match="batch or batch_renorm"):
        GeneratorConfig(3, norm="group")
