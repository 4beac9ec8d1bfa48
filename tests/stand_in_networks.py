"""In place of the public networks, whose weights a checkout lacks: ones that can be worked out by hand."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from ccfpse import evaluation
from ccfpse.features.stacks import STACKS, PerceptualFeatures
from ccfpse.metrics import segmenter as segmenter_module
from ccfpse.metrics.lpips import Lpips
from ccfpse.metrics.measure import Instruments


class MeanColours(nn.Module):
    """In Inception's place: the mean colour of each quarter, 12 features."""

    dimension = 12

    def forward(self, image: Tensor) -> Tensor:
        return nn.functional.adaptive_avg_pool2d(image, 2).flatten(1)


class Itself(nn.Module):
    def forward(self, image: Tensor) -> list[Tensor]:
        return [image]


def alexnet() -> Lpips:
    """Random AlexNet features: enough to learn what is bright and what is dark."""
    torch.manual_seed(1)
    heads = [torch.ones(1, count, 1, 1) for count, _ in segmenter_module.SmallUNet.tapped]
    return Lpips(PerceptualFeatures(STACKS["alexnet"]), heads)


def install(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    """Evaluations measure with the stand-ins, segmenters read the random AlexNet; `cache` is the cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))

    def load(weights: object, segmenter: object, classes: int, device: str) -> Instruments:
        lpips = Lpips(Itself(), [torch.ones(1, 3, 1, 1)])
        return Instruments(MeanColours(), lpips, segmenter, classes, device)  # type: ignore[arg-type]

    monkeypatch.setattr(Instruments, "load", load)
    monkeypatch.setattr(segmenter_module, "load_lpips", lambda weights: alexnet())
    monkeypatch.setattr(evaluation, "find_weights", lambda name, path=None: cache)
