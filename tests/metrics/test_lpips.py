"""LPIPS: the arithmetic by hand on a network that passes its input on, and the published package's values."""

import pytest
import torch
from torch import Tensor, nn

from ccfpse.metrics.lpips import Lpips, load_lpips
from image_patterns import pattern
from shared_files import shared_path


class Passing(nn.Module):
    """A network of two layers: the normalised image, and its left half."""

    def forward(self, image: Tensor) -> list[Tensor]:
        return [image, image[..., : image.shape[-1] // 2]]


def lpips() -> Lpips:
    heads = [torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1, 1), torch.tensor([0.0, 0.0, 1.0]).view(1, 3, 1, 1)]
    return Lpips(Passing(), heads)


def image(*columns: tuple[float, float, float]) -> Tensor:
    """1×3×1×W whose normalised pixels are `columns`: shift + scale · column."""
    shift, scale = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])
    return torch.stack([shift + scale * torch.tensor(column) for column in columns], 1).view(1, 3, 1, -1)


def test_distance_by_hand() -> None:
    # unit pixels (.6, .8, 0) and (0, 0, 1) differ by .36, .64, 1 squared: weighted 1·.36 + 2·.64 + 3·1;
    # the second column agrees, so the first layer's mean is 4.64 / 2; the second layer sees one column: 1
    first, second = image((3, 4, 0), (1, 0, 0)), image((0, 0, 5), (7, 0, 0))
    assert float(lpips()(first, second)) == pytest.approx(2.32 + 1, rel=1e-5)
    assert float(lpips()(first, first)) == 0


def test_diversity_is_the_mean_over_pairs() -> None:
    # both layers together: (.6, .8, 0) to (0, 0, 1) 4.64 + 1; (1, 0, 0) to (0, 0, 1) 1 + 3 + 1; (.6, .8, 0)
    # to (1, 0, 0) .16 + 2 · .64 = 1.44 and nothing in the second layer
    three = torch.cat([image((3, 4, 0), (3, 4, 0)), image((0, 0, 5), (0, 0, 1)), image((1, 0, 0), (2, 0, 0))])
    network = lpips()
    assert network.diversity(network.features(three)) == pytest.approx((5.64 + 5 + 1.44) / 3, rel=1e-5)


def test_value_of_the_published_package() -> None:
    # lpips 0.1.4 (PyPI), LPIPS(net="alex"), its backbone and heads set to the values in the file used here,
    # on pattern(2, 80, 120) * 2 - 1: image 0 to image 1, and either image to half its contrast.
    network = load_lpips(shared_path("weights"))
    images = pattern(2, 80, 120) * 2 - 1
    assert float(network(images[:1], images[1:])) == pytest.approx(0.3200305, abs=2e-6)
    assert network(images, images * 0.5).tolist() == pytest.approx([0.0416502, 0.0654403], abs=2e-6)
