"""The sample grid of a run."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ccfpse.data import PairedTransform
from ccfpse.data.layouts import find_layout, open_dataset
from ccfpse.pictures import grid, to_uint8
from ccfpse.training import schedule
from ccfpse.training.config import TrainConfig
from ccfpse.training.state import TrainState
from ccfpse.training.stream import to_batch

SAMPLES = 8  # rows of the sample grid
STYLES = 3  # columns of styles


class SampleGrid:
    """Layout, photo and several styles of the first layouts by name, the same ones all through a run."""

    def __init__(self, data: str | Path, config: TrainConfig, device: torch.device) -> None:
        self.config = config
        self.device = device
        self.dataset = open_dataset(
            data, sample_split(data), PairedTransform(config.data.size, resize=config.data.resize)
        )
        self.items = [self.dataset.sample(index) for index in range(min(SAMPLES, len(self.dataset)))]

    @torch.no_grad()
    def draw(self, state: TrainState) -> Image.Image:
        """Draws with the averaged generator: one style from the photo, the others from the prior."""
        batch = to_batch(self.items, self.dataset, self.config, 0, self.device)
        generator, encoder = state.averages["generator"], state.averages.get("encoder")
        styles: list[torch.Tensor | None] = [None]
        if encoder is not None:
            drawn = schedule.style_noise(self.config.seed, 0, STYLES - 1, self.config.generator.style_dim)
            prior = (z.to(self.device).expand(len(self.items), -1) for z in drawn)
            styles = [encoder(batch.photo)[0], *prior]
        columns = [to_uint8(generator(batch.semantic, z)) for z in styles]
        space = self.dataset.label_space
        layouts = [
            space.colorize(np.where(i.labels == space.classes, space.ignore or 0, i.labels))
            for i in self.items
        ]
        rows = zip(layouts, (i.photo for i in self.items), *columns, strict=True)
        return grid([list(row) for row in rows])


def sample_split(data: str | Path) -> str:
    """`val` where the data set has it, else `train`."""
    return "val" if "val" in find_layout(data).splits(data) else "train"
