"""Shapes, sizes and structure of the networks, and their layers against hand calculations."""

from typing import Literal

import pytest
import torch
from torch import nn

from ccfpse.models import (
    FPSEDiscriminator,
    FPSEDiscriminatorConfig,
    Generator,
    GeneratorConfig,
    StyleEncoder,
    StyleEncoderConfig,
    instance_edges,
    semantic_map,
)
from ccfpse.models.layers import BranchedConv2d, SpectralConv2d, initialise


def tiny(**changes: object) -> GeneratorConfig:
    values: dict = {"classes": 3, "size": (64, 64), "width": 1, "style_dim": 8, "predictor_width": 4}
    return GeneratorConfig(**(values | changes))


def layout(config: GeneratorConfig, height: int, width: int, n: int = 2) -> torch.Tensor:
    labels = torch.randint(0, config.classes, (n, height, width))
    return semantic_map(
        labels, config.classes, unknown=config.unknown, instances=labels if config.instances else None
    )


@pytest.mark.parametrize("upsamplings", [5, 6])
@pytest.mark.parametrize("style_dim", [0, 8])
@pytest.mark.parametrize("instances", [False, True])
@pytest.mark.parametrize("kernel", [1, 3])
def test_generator_variants(upsamplings: int, style_dim: int, instances: bool, kernel: int) -> None:
    config = tiny(upsamplings=upsamplings, style_dim=style_dim, instances=instances, predictor_kernel=kernel)
    generator = Generator(config)
    for height, width in ((64, 64), (64, 128), (128, 64)):  # not only the trained size
        z = torch.randn(2, style_dim) if style_dim else None
        image = generator(layout(config, height, width), z)
        assert image.shape == (2, 3, height, width)
        assert image.abs().max() <= 1
    image.sum().backward()
    assert all(p.grad is not None for p in generator.parameters())


@pytest.mark.parametrize(("height", "width"), [(96, 96), (48, 64)])
def test_wrong_sizes_name_the_nearest(height: int, width: int) -> None:
    config = tiny(upsamplings=6)
    with pytest.raises(ValueError, match="multiples of 64; the nearest is"):
        Generator(config)(layout(config, height, width))


def test_wrong_channels_and_styles_are_named() -> None:
    config = tiny()
    generator = Generator(config)
    with pytest.raises(ValueError, match="expected N×4×H×W"):
        generator(torch.zeros(1, 5, 64, 64))
    with pytest.raises(ValueError, match=r"takes \(2, 8\)"):
        generator(layout(config, 64, 64), torch.zeros(2, 9))
    with pytest.raises(ValueError, match="no style vector"):
        Generator(tiny(style_dim=0))(layout(config, 64, 64), torch.zeros(2, 8))


def test_parameters_of_the_published_models() -> None:
    """Millions of parameters in networks.md; the released ones also count tensors that nobody uses."""
    with torch.device("meta"):
        coco = Generator(GeneratorConfig(182, unknown=True, instances=True))
        cityscapes = Generator(
            GeneratorConfig(35, unknown=False, instances=True, size=(256, 512), upsamplings=6)
        )
        encoder = StyleEncoder(StyleEncoderConfig())
        discriminator = FPSEDiscriminator(FPSEDiscriminatorConfig(184))
    networks = (coco, cityscapes, encoder, discriminator)
    counts = [sum(p.numel() for p in network.parameters()) for network in networks]
    fin, fmid = 64 * (4 * 16 + 8 + 4 + 2), 64 * (3 * 16 + 8 + 4 + 2 + 1)
    for index in (0, 1):  # unused batch norms: twice over fin and once over fmid in every block
        counts[index] += 2 * (2 * fin + fmid)
    assert counts[0] == pytest.approx(141.94e6, abs=0.005e6)
    assert counts[1] == pytest.approx(128.1e6, abs=0.05e6)
    assert counts[2] == pytest.approx(10.46e6, abs=0.005e6)
    assert counts[3] == pytest.approx(5.19e6, abs=0.006e6)


@pytest.mark.parametrize("norm", ["instance", "layer", "none"])
def test_the_discriminator_does_not_see_contrast_through_instance_norm(
    norm: Literal["instance", "layer", "none"],
) -> None:
    """Instance norm takes away any factor of the image, from the first layer on; layer norm leaves biases."""
    discriminator = FPSEDiscriminator(FPSEDiscriminatorConfig(4, width=2, norm=norm)).eval()
    initialise(discriminator, 1.0)
    give_biases(discriminator.bottom_up)
    image, semantic = torch.rand(1, 3, 64, 64) * 2 - 1, torch.rand(1, 4, 64, 64)
    strong, weak = (discriminator(image * factor, semantic)[0] for factor in (1.0, 0.3))
    same = [torch.allclose(a, b, rtol=0.02, atol=0.02) for a, b in zip(strong, weak, strict=True)]
    assert all(same) == (norm == "instance")


@pytest.mark.parametrize("norm", ["instance", "layer"])
def test_the_encoder_does_not_see_contrast_through_instance_norm(norm: Literal["instance", "layer"]) -> None:
    encoder = StyleEncoder(StyleEncoderConfig(width=4, style_dim=5, input_size=64, norm=norm)).eval()
    initialise(encoder, 1.0)
    give_biases(encoder.layers)
    image = torch.rand(1, 3, 64, 64) * 2 - 1
    strong, weak = (encoder(image * factor)[0] for factor in (1.0, 0.3))
    assert torch.allclose(strong, weak, rtol=0.02, atol=0.02) == (norm == "instance")


def give_biases(layers: nn.Module) -> None:
    for module in layers.modules():
        if isinstance(module, nn.Conv2d) and module.bias is not None:
            nn.init.normal_(module.bias, std=0.1)


def test_discriminator_scales() -> None:
    scores, features = FPSEDiscriminator(FPSEDiscriminatorConfig(4, width=2))(
        torch.randn(2, 3, 64, 96), torch.randn(2, 4, 64, 96)
    )
    assert [tuple(s.shape) for s in scores] == [(2, 1, 16, 24), (2, 1, 8, 12), (2, 1, 4, 6)]
    assert [tuple(f.shape) for f in features] == [
        (2, 4, 16, 24),
        (2, 8, 8, 12),
        (2, 16, 4, 6),
        (2, 16, 2, 3),
    ]


@pytest.mark.parametrize("size", [64, 128, 256])
def test_encoder_sees_the_photo_at_every_training_size(size: int) -> None:
    encoder = StyleEncoder(StyleEncoderConfig(width=2, style_dim=5, input_size=size)).eval()
    initialise(encoder, gain=1.0)
    photos = torch.rand(2, 3, size, size) * 2 - 1
    mu, logvar = encoder(photos)
    assert mu.shape == logvar.shape == (2, 5)
    assert (mu[0] - mu[1]).abs().max() > 1e-3  # not constant, as instance norm of one pixel would be


def test_spectral_norm_divides_by_the_largest_singular_value() -> None:
    conv = SpectralConv2d(2, 3, 1, bias=False)
    conv.weight.data = torch.tensor([[3.0, 0.0], [0.0, 1.0], [0.0, 0.0]]).view(3, 2, 1, 1)
    for _ in range(30):
        conv(torch.zeros(1, 2, 1, 1))
    torch.testing.assert_close(conv.normalised_weight().view(3, 2), conv.weight.view(3, 2) / 3)
    u = conv.u.clone()
    conv.eval()(torch.zeros(1, 2, 1, 1))
    assert torch.equal(conv.u, u)


def test_branches_are_initialised_as_separate_convolutions() -> None:
    conv = BranchedConv2d(50, 30, 3, branches=5)
    initialise(conv)
    expected = 0.02 * (2 / (9 * 50 + 9 * 30)) ** 0.5
    assert conv.weight.std().item() == pytest.approx(expected, rel=0.03)
    assert not conv.bias.any()


def test_semantic_map_by_hand() -> None:
    labels = torch.tensor([[[0, 2, 255, 1]]])
    instances = torch.tensor([[[7, 7, 9, 9]]])
    found = semantic_map(labels, 3, unknown=True, instances=instances)
    expected = torch.tensor([[1, 0, 0, 0], [0, 0, 0, 1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 1, 1, 0]])
    assert torch.equal(found[0, :, 0], expected.float())
    without = semantic_map(labels, 3, unknown=False)
    assert torch.equal(without[0, :, 0], expected[:3].float())


def test_255_is_a_class_where_there_are_that_many() -> None:
    assert semantic_map(torch.tensor([[[255]]]), 300, unknown=True)[0, 255, 0, 0] == 1


def test_wrong_labels_are_named() -> None:
    with pytest.raises(ValueError, match=r"ids \[9, 200\].*3 classes"):
        semantic_map(torch.tensor([[[0, 200, 9]]]), 3, unknown=True)
    with pytest.raises(ValueError, match="expected integers N×H×W"):
        semantic_map(torch.zeros(1, 2, 2), 3, unknown=True)


def test_instance_edges_by_hand() -> None:
    instances = torch.tensor([[[1, 1, 2], [1, 1, 2], [3, 3, 3]]])
    expected = torch.tensor([[[0, 1, 1], [1, 1, 1], [1, 1, 1]]]).bool()
    assert torch.equal(instance_edges(instances), expected)
    assert not instance_edges(torch.full((1, 1, 1), 5)).any()
