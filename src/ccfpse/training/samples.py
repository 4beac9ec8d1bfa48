"""The sample grid of a run."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ccfpse.data import CorruptSample, PairedTransform, Sample
from ccfpse.data.dataset import PairedDataset
from ccfpse.data.layouts import find_layout, open_dataset
from ccfpse.pictures import grid, to_uint8
from ccfpse.training import schedule
from ccfpse.training.config import TrainConfig
from ccfpse.training.precision import autocast
from ccfpse.training.state import TrainState
from ccfpse.training.stream import to_batch

SAMPLES = 8  # rows of the sample grid
STYLES = 3  # columns of styles


class SampleGrid:
    """Layout, photo and several styles of the first layouts by name, the same ones all through a run.

    unreadable: those that others stand in for. Raises CorruptSample where none can be read.
    """

    def __init__(self, data: str | Path, config: TrainConfig, device: torch.device) -> None:
        self.config = config
        self.device = device
        self.dataset = open_dataset(
            data,
            sample_split(data),
            PairedTransform(config.data.size, resize=config.data.resize),
            instances=config.data.instances is not False,
        )
        self.items, self.unreadable = first_readable(self.dataset, SAMPLES)

    @torch.no_grad()
    def draw(self, state: TrainState) -> Image.Image:
        """Draws with the averaged generator: one style from the photo, the others from the prior."""
        # One by one and as precisely as a step: where the memory suffices for steps, it does for this.
        return grid([self._row(item, state) for item in self.items])

    def _row(self, item: Sample, state: TrainState) -> list[np.ndarray]:
        batch = to_batch([item], self.dataset, self.config, 0, self.device)
        generator, encoder = state.averages["generator"], state.averages.get("encoder")
        styles: list[torch.Tensor | None] = [None]
        with autocast(self.config.compute.precision, self.device):
            if encoder is not None:
                prior = schedule.style_noise(
                    self.config.seed, 0, STYLES - 1, self.config.generator.style_dim
                ).to(self.device)
                styles = [encoder(batch.photo)[0].float(), *prior.split(1)]
            drawn = [to_uint8(generator(batch.semantic, z))[0] for z in styles]
        return [self.dataset.label_space.colorize(item.labels), item.photo, *drawn]


def first_readable(dataset: PairedDataset, count: int) -> tuple[list[Sample], list[CorruptSample]]:
    """The first `count` samples that can be read, and the faults of those before them that cannot.

    Raises the last fault where there is nothing else.
    """
    read: list[Sample] = []
    faults: list[CorruptSample] = []
    for index in range(len(dataset)):
        if len(read) == count:
            break
        try:
            read.append(dataset.sample(index))
        except CorruptSample as error:
            faults.append(error)
    if faults and not read:
        raise faults[-1]
    return read, faults


def sample_split(data: str | Path) -> str:
    """`val` where the data set has it, else `train`."""
    return "val" if "val" in find_layout(data).splits(data) else "train"
