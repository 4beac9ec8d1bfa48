"""An engine with the contract of `ccfpse.Engine` and no network: fast, and its photos can be predicted."""

import threading
import time

import numpy as np

from ccfpse.labels import LabelSpace

SPACE = LabelSpace(
    (
        "facade", "window", "balcony", "vegetation", "street", "car", "fence", "shop",
        "traffic-infrastructure", "non-building-infrastructure", "sky",
    ),
    (
        (180, 120, 90), (90, 160, 220), (200, 180, 60), (60, 140, 60), (110, 110, 120), (200, 40, 60),
        (150, 110, 60), (230, 140, 40), (240, 220, 70), (130, 90, 150), (140, 200, 240),
    ),
)  # fmt: skip


class FakeEngine:
    """Photos are the class colours, shifted by 20 × the first three style values; unlabelled is black."""

    attribution = "Made up for tests."

    def __init__(
        self,
        name: str = "fake",
        space: LabelSpace = SPACE,
        *,
        style_dim: int = 4,
        uses_instances: bool = False,
        encodes_style: bool = True,
        size: int = 64,
        seconds: float = 0.0,
    ):
        self.name, self.label_space, self.style_dim = name, space, style_dim
        self.uses_instances, self.encodes_style = uses_instances, encodes_style
        self.trained_size, self.size_multiple, self.seconds = (size, size), 32, seconds
        self.calls = 0
        self.release = threading.Event()
        self.release.set()

    def random_styles(self, count, seed):
        return np.random.default_rng(seed).standard_normal((count, self.style_dim)).astype(np.float32)

    def encode_style(self, photo):
        assert photo.dtype == np.uint8
        assert photo.shape[2:] == (3,)
        mean = photo.reshape(-1, 3).mean(axis=0) / 127.5 - 1
        return np.resize(mean, self.style_dim).astype(np.float32)

    def generate(self, labels, *, instances=None, style=None, count=1, seed=0):
        self.calls += 1
        assert not any(side % self.size_multiple for side in labels.shape)
        assert instances is None or self.uses_instances
        self.release.wait(20)
        time.sleep(self.seconds)
        photo = self.label_space.colorize(labels).astype(np.float32)
        if instances is not None:
            photo += 5 * (instances % 8)[..., None]
        if not self.style_dim:
            shift = np.zeros((count, 3), np.float32)
        else:
            if style is None:
                style = self.random_styles(count, seed)
            elif style.dtype == np.uint8:
                style = self.encode_style(style)
            shift = np.broadcast_to(np.atleast_2d(style), (count, self.style_dim))[:, :3] * 20
        return np.clip(photo[None] + shift[:, None, None], 0, 255).astype(np.uint8)
