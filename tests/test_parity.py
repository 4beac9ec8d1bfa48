"""Our networks against tensors recorded from networks with the released layout (see shared_files.py)."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from ccfpse import legacy, losses
from ccfpse.models import Discriminator, ImageGenerator, StyleEncoder, semantic_map
from ccfpse.training.steps import Batch, score_pair
from shared_files import shared_path

CASES = ["coco_like", "cityscapes_like", "ade_like_deterministic"]
BASELINES = ["spade_standard", "spade_deep_deterministic", "pix2pixhd_global"]


@dataclass
class Case:
    meta: dict
    tensors: dict[str, torch.Tensor]
    generator: ImageGenerator
    encoder: StyleEncoder | None
    discriminator: Discriminator
    image: torch.Tensor
    semantic: torch.Tensor
    z: torch.Tensor | None

    def to(self, dtype: torch.dtype) -> "Case":
        for network in (self.generator, self.encoder, self.discriminator):
            if network is not None:
                network.to(dtype)
        self.image, self.semantic = self.image.to(dtype), self.semantic.to(dtype)
        self.z = None if self.z is None else self.z.to(dtype)
        return self


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return read(request.param)


@pytest.fixture(params=BASELINES)
def baseline(request: pytest.FixtureRequest) -> Case:
    """Its tensors do not tell the size, nor how deep it is."""
    meta = json.loads((shared_path("parity", request.param) / "meta.json").read_text())["config"]
    size = int(meta["crop_size"] / meta["aspect_ratio"]), meta["crop_size"]
    return read(request.param, size=size, upsamplings=6 if meta["num_upsampling_layers"] == "more" else None)


def read(name: str, **told: Any) -> Case:
    folder: Path = shared_path("parity", name)
    meta = json.loads((folder / "meta.json").read_text())
    tensors = load_file(folder / "tensors.safetensors")
    config = meta["config"]
    unknown, instances = config["contain_dontcare_label"], not config["no_instance"]
    generator, encoder, discriminator, _ = legacy.load(
        folder,
        classes=config["label_nc"],
        unknown=unknown,
        instances=instances,
        **told,
    )
    semantic = semantic_map(
        tensors["label"],
        config["label_nc"],
        unknown=unknown,
        instances=tensors["instance"] if instances else None,
    )
    assert discriminator is not None
    return Case(
        meta,
        tensors,
        generator,
        encoder,
        discriminator,
        tensors["image"].float() / 127,
        semantic,
        tensors["z"] if generator.config.style_dim else None,
    )


def relative(found: torch.Tensor, expected: torch.Tensor) -> float:
    return ((found - expected).abs().max() / expected.abs().max()).item()


@torch.no_grad()
def test_evaluation_mode(case: Case) -> None:
    tensors = case.tensors
    if case.encoder is not None:
        mu, logvar = case.encoder(case.image)
        assert relative(mu, tensors["eval.mu"]) <= 1e-4
        assert relative(logvar, tensors["eval.logvar"]) <= 1e-4
    fake = case.generator(case.semantic, case.z)
    assert (fake - tensors["eval.fake"]).abs().max() <= 1e-4
    scores, features = case.discriminator(
        torch.cat([fake, case.image]), torch.cat([case.semantic, case.semantic])
    )
    for index, score in enumerate(scores):
        assert relative(score, tensors[f"eval.pred{index}"]) <= 1e-4
    for index, feature in enumerate(features):
        assert relative(feature.mean((2, 3)), tensors[f"eval.feat{index}.mean"]) <= 1e-4
        assert relative(feature.std((2, 3)), tensors[f"eval.feat{index}.std"]) <= 1e-4


def gradient_norm(network: torch.nn.Module) -> float:
    return torch.stack([p.grad.norm() for p in network.parameters() if p.grad is not None]).norm().item()


# In float64: one L1 term whose sign flips by rounding moves a recorded gradient by 4e-3 of its norm.
def test_training_mode(case: Case) -> None:
    case.to(torch.float64)
    meta, n = case.meta, len(case.image)
    generator, encoder, discriminator = case.generator.train(), case.encoder, case.discriminator.train()
    batch = Batch(case.image, case.semantic, None)
    total = torch.zeros((), dtype=torch.float64)
    if encoder is not None:
        mu, logvar = encoder.train()(case.image)
        kl = 0.05 * losses.kl_divergence(mu, logvar)
        assert kl.item() == pytest.approx(meta["train.kld"], rel=1e-3)
        total = total + kl
    fake = generator(case.semantic, case.z)
    scores, features = score_pair(discriminator, fake, batch)
    gan = losses.hinge_generator([s[:n] for s in scores])
    matching = 20 * losses.feature_matching([f[:n] for f in features], [f[n:] for f in features])
    assert gan.item() == pytest.approx(meta["train.gan"], rel=1e-3)
    assert matching.item() == pytest.approx(meta["train.feature_matching"], rel=1e-3)
    (total + gan + matching).backward()
    assert gradient_norm(generator) == pytest.approx(meta["train.grad_norm.G"], rel=1e-3)
    if encoder is not None:
        assert gradient_norm(encoder) == pytest.approx(meta["train.grad_norm.E"], rel=1e-3)
    width = generator.config.predictor_width
    recorded = {
        "conv_img.weight": generator.to_image.weight.grad,
        "up_3.gen_weights1.0.weight": generator.blocks[6].hidden.weight.grad[:width],
    }
    for name, gradient in recorded.items():
        expected = case.tensors[f"train.grad.G.{name}"]
        assert (gradient - expected).norm() / expected.norm() <= 1e-3

    discriminator.zero_grad()
    scores, _ = score_pair(discriminator, fake.detach(), batch)
    d_fake, d_real = losses.hinge_fake([s[:n] for s in scores]), losses.hinge_real([s[n:] for s in scores])
    assert d_fake.item() == pytest.approx(meta["train.d_fake"], rel=1e-3)
    assert d_real.item() == pytest.approx(meta["train.d_real"], rel=1e-3)
    (d_fake + d_real).backward()
    assert gradient_norm(discriminator) == pytest.approx(meta["train.grad_norm.D"], rel=1e-3)


@torch.no_grad()
def test_baselines_in_evaluation_mode(baseline: Case) -> None:
    tensors = baseline.tensors
    fake = baseline.generator(baseline.semantic, baseline.z)
    assert (fake - tensors["eval.fake"]).abs().max() <= 1e-4
    assert sum(p.numel() for p in baseline.generator.parameters()) == baseline.meta["parameters"]["G"]
    scores, features = baseline.discriminator(
        torch.cat([fake, baseline.image]), torch.cat([baseline.semantic, baseline.semantic])
    )
    for scale, score in enumerate(scores):
        assert relative(score, tensors[f"eval.pred{scale}"]) <= 1e-4
    assert len(features) == 8
    for index, feature in enumerate(features):
        recorded = f"eval.feat{index // 4}.{index % 4}"
        assert relative(feature.mean((2, 3)), tensors[f"{recorded}.mean"]) <= 1e-4
        assert relative(feature.std((2, 3)), tensors[f"{recorded}.std"]) <= 1e-4


def test_baselines_in_training_mode(baseline: Case) -> None:
    baseline.to(torch.float64)
    meta, n = baseline.meta, len(baseline.image)
    generator, discriminator = baseline.generator.train(), baseline.discriminator.train()
    batch = Batch(baseline.image, baseline.semantic, None)
    scores, features = score_pair(discriminator, generator(baseline.semantic, baseline.z), batch)
    gan = losses.hinge_generator([s[:n] for s in scores])
    matching = 10 * losses.feature_matching(
        [f[:n] for f in features], [f[n:] for f in features], groups=discriminator.feature_groups
    )
    assert gan.item() == pytest.approx(meta["train.gan"], rel=1e-3)
    assert matching.item() == pytest.approx(meta["train.feature_matching_lambda10"], rel=1e-3)
    (gan + matching).backward()
    assert gradient_norm(generator) == pytest.approx(meta["train.grad_norm.G"], rel=1e-3)


def test_variant_is_read_off_the_shapes(case: Case) -> None:
    config, expected = case.generator.config, case.meta["config"]
    height = expected["crop_size"] / expected["aspect_ratio"]
    assert config.size == (height, expected["crop_size"])
    assert config.width == expected["ngf"]
    assert config.style_dim == (expected["z_dim"] if expected["use_vae"] else 0)
    assert config.upsamplings == (6 if expected["dataset_mode"] == "cityscapes" else 5)
    assert config.semantic_channels == expected["semantic_nc"]


def test_wrong_keys_are_named(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    state = load_file(shared_path("parity", "ade_like_deterministic") / "net_G.fp16.safetensors")
    state["up_9.conv_1.weight"] = torch.zeros(1)
    save_file(state, tmp_path / "net_G.safetensors")
    with pytest.raises(ValueError, match=r"unknown keys up_9\.conv_1\.weight"):
        legacy.load(tmp_path)
    del state["up_9.conv_1.weight"]
    for name in [key for key in state if key.startswith("up_0.gen_weights1")]:
        del state[name]
    save_file(state, tmp_path / "net_G.safetensors")
    with pytest.raises(ValueError, match=r"missing keys up_0\.gen_weights1\.0\.bias, "):
        legacy.load(tmp_path)


def test_pickles_with_code_are_refused(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "exploded",))

    torch.save({"conv_img.weight": Bomb()}, tmp_path / "latest_net_G.pth")
    with pytest.raises(ValueError, match=r"latest_net_G\.pth: not a state dict of tensors"):
        legacy.load(tmp_path)
    assert not (tmp_path / "exploded").exists()
