"""The look-up of labels against the convolution of one-hot channels."""

import pytest
import torch
import torch.nn.functional as F

from ccfpse import ops
from ccfpse.models.layout import Layout, LayoutConv2d, one_hot_labels

CHANNELS = 4


def case(edges: bool, features: int) -> tuple[torch.Tensor, torch.Tensor, list[torch.Tensor], torch.Tensor]:
    """Codes, the dense map, [features, if any, weight, bias] in float64 and an incoming gradient."""
    torch.manual_seed(0)
    labels = torch.randint(0, CHANNELS + 1, (2, 5, 7))
    edge = torch.rand(2, 5, 7) > 0.5
    dense = F.one_hot(labels, CHANNELS + 1)[..., :CHANNELS].permute(0, 3, 1, 2).double()
    if edges:
        dense = torch.cat([dense, edge[:, None].double()], dim=1)
    shapes = [(2, features, 5, 7)] * bool(features) + [(6, dense.shape[1] + features, 3, 3), (6,)]
    tensors = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    codes = ops.label_codes(labels, edge if edges else None, CHANNELS)
    return codes, dense, tensors, torch.randn(2, 6, 5, 7, dtype=torch.float64)


@pytest.mark.parametrize("edges", [False, True])
@pytest.mark.parametrize("features", [0, 3])
def test_it_is_the_convolution_of_the_one_hot_map(edges: bool, features: int) -> None:
    codes, dense, tensors, grad = case(edges, features)
    first = tensors[0] if features else None
    y = ops.label_conv(codes, first, *tensors[-2:], CHANNELS)
    expected = F.conv2d(
        dense if first is None else torch.cat([dense, first], dim=1), *tensors[-2:], padding=1
    )
    torch.testing.assert_close(y, expected)
    for own, reference in zip(
        torch.autograd.grad(y, tensors, grad), torch.autograd.grad(expected, tensors, grad), strict=True
    ):
        torch.testing.assert_close(own, reference)


@pytest.mark.parametrize("features", [0, 3])
def test_it_keeps_the_rules_of_operators(features: int) -> None:
    codes, _, tensors, _ = case(True, features)
    torch.library.opcheck(ops.label_conv, (codes, tensors[0] if features else None, *tensors[-2:], CHANNELS))


def test_maps_that_are_not_one_hot_are_convolved() -> None:
    labels = torch.tensor([[[0, 1, 4], [3, 3, 2]]])  # 4: nothing
    semantic = F.one_hot(labels, 5)[..., :4].permute(0, 3, 1, 2).float()
    edges = torch.tensor([[[[0.0, 1, 0], [0, 0, 1]]]])
    found = one_hot_labels(torch.cat([semantic, edges], dim=1), 4)
    assert found is not None
    assert torch.equal(found, labels)

    twice, soft, negative = (semantic.clone() for _ in range(3))
    twice[0, 0, 1, 1] = 1
    soft[0, :2, 0, 0] = 0.5
    negative[0, 2, 0, 0] = -1
    for wrong in (twice, soft, negative, semantic.clone().requires_grad_()):
        assert one_hot_labels(torch.cat([wrong, edges], dim=1), 4) is None
    assert one_hot_labels(torch.cat([semantic, 0.5 * edges], dim=1), 4) is None
    with ops.use_backend("reference"):
        assert one_hot_labels(semantic, 4) is None
    with torch.autocast("cpu", torch.bfloat16):
        assert one_hot_labels(semantic, 4) is None


@pytest.mark.parametrize("features", [None, 2])
def test_a_layout_reads_the_same_both_ways_at_every_size(features: int | None) -> None:
    torch.manual_seed(0)
    labels = torch.randint(0, 4, (2, 8, 12))
    edges = torch.rand(2, 1, 8, 12) > 0.5
    semantic = torch.cat([F.one_hot(labels, 4).permute(0, 3, 1, 2), edges], dim=1).float()
    conv = LayoutConv2d(5 + (features or 0), 3, branches=2)
    for size in ((8, 12), (4, 6), (2, 3)):
        maps = None if features is None else torch.randn(2, features, *size)
        looked_up, dense = (Layout(semantic, size, maps, known, 4) for known in (labels, None))
        torch.testing.assert_close(conv(looked_up), conv(dense))
