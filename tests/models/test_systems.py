"""The systems that CC-FPSE is compared with: shapes at any allowed size, parameters, structure."""

from typing import Any

import pytest
import torch

from ccfpse.models import (
    FPDiscriminator,
    FPDiscriminatorConfig,
    GeneratorConfig,
    ImageGenerator,
    LayoutConfig,
    MsPatchDiscriminator,
    MsPatchDiscriminatorConfig,
    PatchDiscriminator,
    PatchDiscriminatorConfig,
    Pix2PixConfig,
    Pix2PixHDConfig,
    SpadeConfig,
    SpadeGenerator,
    build_discriminator,
    build_generator,
)
from ccfpse.models.layers import initialise
from ccfpse.models.registry import generator_config_from_dict

VARIANTS: dict[str, tuple[Any, dict[str, Any]]] = {
    "cc without gates": (GeneratorConfig, {"width": 1, "predictor_width": 4, "gates": False}),
    "cc without pyramid": (GeneratorConfig, {"width": 1, "predictor_width": 4, "layout_pyramid": False}),
    "spade": (SpadeConfig, {"width": 1, "predictor_width": 4, "style_dim": 8}),
    "spade deep": (SpadeConfig, {"width": 1, "predictor_width": 4, "style_dim": 0, "upsamplings": 6}),
    "spade deepest": (SpadeConfig, {"width": 2, "predictor_width": 4, "style_dim": 0, "upsamplings": 7}),
    "spade with pyramid": (SpadeConfig, {"width": 1, "predictor_width": 4, "layout_pyramid": True}),
    "pix2pixhd": (Pix2PixHDConfig, {"width": 2, "halvings": 3, "blocks": 2}),
    "pix2pixhd enhanced": (Pix2PixHDConfig, {"width": 2, "halvings": 2, "blocks": 1, "enhancer_blocks": 2}),
    "pix2pix": (Pix2PixConfig, {"width": 2, "halvings": 5}),
}


def variant(name: str, **changes: Any) -> LayoutConfig:
    kind, values = VARIANTS[name]
    return kind(classes=3, size=(128, 128), **values, **changes)


def maps(config: LayoutConfig, height: int, width: int, n: int = 2) -> torch.Tensor:
    return torch.rand(n, config.semantic_channels, height, width)


@pytest.mark.parametrize("instances", [False, True])
@pytest.mark.parametrize("name", VARIANTS)
def test_any_allowed_size(name: str, instances: bool) -> None:
    config = variant(name, instances=instances)
    generator = build_generator(config)
    assert isinstance(generator, ImageGenerator)
    step = config.size_multiple
    for height, width in ((step, 2 * step), (3 * step, step), (128, 128)):
        z = torch.randn(2, config.style_dim) if config.style_dim else None
        image = generator(maps(config, height, width), z)
        assert image.shape == (2, 3, height, width)
        assert image.abs().max() <= 1
    image.sum().backward()
    assert all(p.grad is not None for p in generator.parameters())


@pytest.mark.parametrize("name", VARIANTS)
def test_other_shapes_are_named(name: str) -> None:
    config = variant(name)
    generator, step = build_generator(config), config.size_multiple
    with pytest.raises(ValueError, match=f"multiples of {step}"):
        generator(maps(config, step + step // 2, step))
    with pytest.raises(ValueError, match="expected N×4×H×W"):
        generator(torch.zeros(1, 3, step, step))
    if not config.style_dim:
        with pytest.raises(ValueError, match="no style vector"):
            generator(maps(config, step, step), torch.zeros(2, 8))


def test_parameters_of_the_published_spade() -> None:
    """97.5 million for COCO-Stuff without a style vector; standard and deep alike."""
    with torch.device("meta"):
        networks = [
            SpadeGenerator(SpadeConfig(182, instances=True, style_dim=0, upsamplings=upsamplings))
            for upsamplings in (5, 6)
        ]
    for network in networks:
        assert sum(p.numel() for p in network.parameters()) == pytest.approx(97.5e6, abs=0.05e6)


def test_unet_drops_in_training_only() -> None:
    generator = build_generator(variant("pix2pix"))
    initialise(generator, gain=1.0)
    semantic = maps(generator.config, 64, 64)
    assert not torch.equal(generator(semantic), generator(semantic))
    generator.eval()
    assert torch.equal(generator(semantic), generator(semantic))


def test_unet_learns_at_batch_one() -> None:
    """Its innermost map is a single pixel there, which batch norm refuses or makes zero."""
    generator = build_generator(variant("pix2pix"))
    initialise(generator, gain=1.0)
    first, second = (generator(maps(generator.config, 32, 32, n=1)) for _ in range(2))
    assert not torch.equal(first, second)


def test_multi_scale_scores_by_hand() -> None:
    """128 → 65 → 33 → 17 → 18 → 19; half of it, 64 → 33 → 17 → 9 → 10 → 11."""
    discriminator = MsPatchDiscriminator(MsPatchDiscriminatorConfig(4, width=2))
    scores, features = discriminator(torch.rand(2, 3, 128, 128), torch.rand(2, 4, 128, 128))
    assert [tuple(s.shape) for s in scores] == [(2, 1, 19, 19), (2, 1, 11, 11)]
    assert [f.shape[2] for f in features] == [65, 33, 17, 18, 33, 17, 9, 10]
    assert [f.shape[1] for f in features] == [2, 4, 8, 16] * 2
    assert discriminator.feature_groups == 2


def test_a_patch_is_70_pixels_wide() -> None:
    discriminator = PatchDiscriminator(PatchDiscriminatorConfig(4, width=2)).eval()
    initialise(discriminator, gain=1.0)
    image = torch.rand(1, 3, 256, 256, requires_grad=True)
    (score,), features = discriminator(image, torch.rand(1, 4, 256, 256))
    assert score.shape == (1, 1, 30, 30)
    assert len(features) == 4
    score[0, 0, 15, 15].backward()
    seen = image.grad.abs().sum((0, 1)) > 0
    assert seen.any(0).sum() == 70
    assert seen.any(1).sum() == 70


def test_fp_scores_depend_on_the_layout_through_its_pixels() -> None:
    discriminator = FPDiscriminator(FPDiscriminatorConfig(4, width=2))
    image = torch.rand(2, 3, 64, 96)
    scores, features = discriminator(image, torch.rand(2, 4, 64, 96))
    assert [tuple(s.shape) for s in scores] == [(2, 1, 16, 24), (2, 1, 8, 12), (2, 1, 4, 6)]
    assert [f.shape[1] for f in features] == [4, 8, 16, 16]
    assert not torch.equal(scores[0], discriminator(image, torch.rand(2, 4, 64, 96))[0][0])
    assert isinstance(build_discriminator(discriminator.config), FPDiscriminator)


def test_configs_of_model_files() -> None:
    """Files from before there were kinds hold a CC-FPSE generator."""
    old = {"classes": 3, "unknown": True, "instances": False, "size": [64, 64], "width": 2, "style_dim": 0}
    assert generator_config_from_dict(old) == GeneratorConfig(3, size=(64, 64), width=2, style_dim=0)
    assert generator_config_from_dict(old | {"kind": "spade"}) == SpadeConfig(
        3, size=(64, 64), width=2, style_dim=0
    )
    with pytest.raises(ValueError, match="kind 'oil', expected cc or spade"):
        generator_config_from_dict(old | {"kind": "oil"})
    with pytest.raises(ValueError, match="pix2pix generator has no style_dim"):
        generator_config_from_dict(old | {"kind": "pix2pix"})
