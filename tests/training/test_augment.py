"""Augmentation and R1: by hand numbers, and that image and layout stay together."""

import pytest
import torch
from torch import nn

from ccfpse.models import FPSEDiscriminator, FPSEDiscriminatorConfig
from ccfpse.training import schedule
from ccfpse.training.augment import DRAWS, Augmentation
from ccfpse.training.config import LossSettings, TrainConfig
from ccfpse.training.penalty import gradient_penalty, second_derivatives
from ccfpse.training.steps import Batch, Networks, discriminator_losses, generator_losses

ALL = ("color", "translation", "cutout")


def draws(**changes: float) -> torch.Tensor:
    """One image's draws; 0.5 leaves colours and place alone."""
    names = ("brightness", "saturation", "contrast", "down", "right", "hole_y", "hole_x")
    return torch.tensor([[changes.get(name, 0.5) for name in names]])


def coded(size: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    """An image and a map that hold the same positive number at the same place, in every channel."""
    place = torch.arange(1.0, size * size + 1).view(1, 1, size, size) / size**2
    return place.expand(1, 3, size, size), place.expand(1, 2, size, size)


def test_colours_by_hand() -> None:
    image = torch.tensor([0.1, 0.2, 0.6]).view(1, 3, 1, 1).expand(1, 3, 1, 2)
    semantic = torch.ones(1, 2, 1, 2)
    brighter, same = Augmentation(["color"], draws(brightness=0.75))(image, semantic)
    torch.testing.assert_close(brighter, image + 0.25)
    assert same is semantic
    grey, _ = Augmentation(["color"], draws(saturation=0.0))(image, semantic)
    torch.testing.assert_close(grey, torch.full_like(image, 0.3))
    flatter, _ = Augmentation(["color"], draws(contrast=0.0))(image, semantic)
    torch.testing.assert_close(flatter, 0.3 + (image - 0.3) / 2)
    nothing, _ = Augmentation(["color", "translation"], draws())(image, semantic)
    torch.testing.assert_close(nothing, image)


def test_translation_and_cutout_move_image_and_layout_alike() -> None:
    image, semantic = coded()
    moved, layout = Augmentation(["translation"], draws(down=0.0, right=0.99))(image, semantic)
    expected = torch.zeros_like(image)  # by up to 16/8 = 2: down by 2, left by 2
    expected[:, :, 2:, :-2] = image[:, :, :-2, 2:]
    assert torch.equal(moved, expected)
    assert torch.equal(layout, expected[:, :2])

    holed, layout = Augmentation(["cutout"], draws())(image, semantic)
    assert int((holed == 0).sum()) == 3 * 8 * 8
    assert torch.equal(layout, holed[:, :2])
    corner, _ = Augmentation(["cutout"], draws(hole_y=0.0, hole_x=0.0))(image, semantic)
    assert int((corner[0, 0] == 0).sum()) == 4 * 4  # centred in the corner


def test_a_photo_is_changed_as_its_generated_image_and_gradients_flow() -> None:
    draw = schedule.augmentation_draws(0, 5, 2, DRAWS)
    assert torch.equal(draw[1:], schedule.augmentation_draws(0, 6, 1, DRAWS))
    images = torch.rand(2, 3, 16, 16).repeat(2, 1, 1, 1).requires_grad_()
    changed, layout = Augmentation(ALL, draw)(images, torch.ones(4, 2, 16, 16))
    assert torch.equal(changed[:2], changed[2:])
    assert torch.equal(layout[:2], layout[2:])
    assert not torch.equal(changed[0], changed[1])
    changed.sum().backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0


def test_the_discriminator_sees_augmented_pairs_in_both_steps() -> None:
    seen = []

    class Judge(nn.Module):
        feature_groups = 1

        def forward(self, image: torch.Tensor, semantic: torch.Tensor) -> tuple[list, list]:
            seen.append(semantic)
            return [image.mean(1, keepdim=True)], [image]

    painter = nn.Conv2d(2, 3, 1)
    networks = Networks(Painter(painter), Judge(), None)
    batch = Batch(torch.rand(1, 3, 16, 16), torch.ones(1, 2, 16, 16), None, Augmentation(["cutout"], draws()))
    _, fake = generator_losses(networks, batch, LossSettings(), None)
    discriminator_losses(networks, batch, fake, LossSettings())
    assert [int((semantic == 0).sum()) for semantic in seen] == [2 * 2 * 64] * 2


class Painter(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, semantic: torch.Tensor, z: torch.Tensor | None) -> torch.Tensor:
        return self.layer(semantic)


def test_penalty_by_hand() -> None:
    photo = torch.rand(2, 3, 4, 4, requires_grad=True)
    weight = torch.tensor(4.0, requires_grad=True)
    coarse = weight * photo.mean((1, 2, 3)).view(2, 1, 1, 1)  # gradient 4/48 everywhere
    fine = photo.sum(1, keepdim=True)  # of its mean over 16 places: 1/16 everywhere
    penalty = gradient_penalty([coarse, fine], photo)
    assert penalty.item() == pytest.approx(48 * ((4 / 48 + 1 / 16) / 2) ** 2)


def test_penalty_has_the_right_slope() -> None:
    """Through the whole discriminator: a small step against its gradient lowers it by step × slope."""
    discriminator = FPSEDiscriminator(FPSEDiscriminatorConfig(3, width=2)).double().eval()
    for parameter in discriminator.parameters():
        nn.init.normal_(parameter, std=0.3)
    photo, semantic = torch.rand(2, 1, 3, 64, 64, dtype=torch.float64).unbind()

    def penalty() -> torch.Tensor:
        image = photo.clone().requires_grad_()
        return gradient_penalty(discriminator(image, semantic)[0], image)

    before = penalty()
    before.backward()
    gradients = [p.grad for p in discriminator.parameters() if p.grad is not None]
    slope = torch.stack([g.square().sum() for g in gradients]).sum().sqrt().item()
    step = 1e-4 * before.item() / slope
    with torch.no_grad():
        for parameter in discriminator.parameters():
            if parameter.grad is not None:
                parameter -= step / slope * parameter.grad
    assert before.item() - penalty().item() == pytest.approx(step * slope, rel=0.05)


def test_a_discriminator_that_cannot_be_differentiated_twice_is_refused() -> None:
    class Once(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):  # type: ignore[no-untyped-def]
            ctx.save_for_backward(x)
            return x**2

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx, grad):  # type: ignore[no-untyped-def]
            return 2 * ctx.saved_tensors[0] * grad

    photo, weight = torch.rand(1, 3, 2, 2, requires_grad=True), torch.ones((), requires_grad=True)
    with pytest.raises(ValueError, match=r"differentiated twice.*set small_data\.r1=0"), second_derivatives():
        gradient_penalty([weight * Once.apply(photo)], photo).backward()
    with pytest.raises(ValueError, match="derivative at photos is constant"), second_derivatives():
        gradient_penalty([photo.detach() * weight + photo.mean()], photo)


def test_penalty_is_lazy() -> None:
    config = TrainConfig().override({"batch": "4", "small_data.r1": "10", "small_data.r1_every": "3"})
    assert [schedule.r1_weight(images, config) for images in range(0, 24, 4)] == [30, 0, 0, 30, 0, 0]
