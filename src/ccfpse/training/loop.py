"""The training loop: a function of the config, the data and the images seen."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from torch import nn
from torch.utils.data import DataLoader, Dataset

from ccfpse.checkpoint import Model
from ccfpse.data import PairedTransform, Sample
from ccfpse.data.dataset import PairedDataset
from ccfpse.data.layouts import find_layout, open_dataset
from ccfpse.data.sampler import SampleOrder
from ccfpse.features import load_vgg
from ccfpse.losses import PerceptualLoss
from ccfpse.models import ImageGenerator, StyleEncoder, build_discriminator, build_generator, semantic_map
from ccfpse.models.layers import initialise
from ccfpse.pictures import grid, to_tensor, to_uint8
from ccfpse.training import ema, schedule
from ccfpse.training.config import TrainConfig
from ccfpse.training.evaluation import Evaluation
from ccfpse.training.report import Log, RunFolder, progress_bar, save_picture
from ccfpse.training.state import TrainState
from ccfpse.training.steps import Batch, Networks, discriminator_step, generator_step

SAMPLES = 8  # rows of the sample grid
STYLES = 3  # columns of styles


class TrainingStream(Dataset[Sample]):
    """The k-th item is the k-th image of the run:
    which photo, which crop and whether mirrored follow from k.
    """

    def __init__(self, dataset: PairedDataset, seed: int) -> None:
        self.dataset = dataset
        self.order = SampleOrder(len(dataset), seed, dataset.groups)

    def __getitem__(self, position: int) -> Sample:
        return self.dataset.sample(self.order.index(position), self.order.rng(position))


def batches(dataset: PairedDataset, config: TrainConfig, first: int) -> Iterator[list[Sample]]:
    """Batches of consecutive images from the `first`-th on to the end of the run."""
    starts = range(first, config.images, config.batch)
    return iter(
        DataLoader(
            TrainingStream(dataset, config.seed),
            batch_sampler=(list(range(start, start + config.batch)) for start in starts),
            num_workers=config.data.workers,
            collate_fn=list,
            persistent_workers=False,
        )
    )


def to_batch(samples: list[Sample], dataset: PairedDataset, config: TrainConfig, first: int) -> Batch:
    """Samples as tensors, with the style noise of the `first`-th image of the run and those after it."""
    noise = None
    if config.generator.style_dim:
        noise = schedule.style_noise(config.seed, first, len(samples), config.generator.style_dim)
    space = dataset.label_space
    instances = None
    if uses_instances(config, dataset):
        instances = torch.from_numpy(np.stack([s.instances for s in samples if s.instances is not None]))
    labels = torch.from_numpy(np.stack([s.labels for s in samples]))
    semantic = semantic_map(labels, space.classes, unknown=space.unknown, instances=instances, ignore=None)
    return Batch(to_tensor(np.stack([s.photo for s in samples])), semantic, noise)


def uses_instances(config: TrainConfig, dataset: PairedDataset) -> bool:
    """Whether the networks get the instance-edge channel."""
    if config.data.instances and not dataset.has_instances:
        raise ValueError(
            f"{dataset.root}: data.instances is true, but there is no {dataset.split}/instances folder; "
            "add the instance maps or leave data.instances out"
        )
    return dataset.has_instances if config.data.instances is None else config.data.instances


def build(config: TrainConfig, dataset: PairedDataset) -> Networks:
    """Freshly initialised networks, a function of the config's seed."""
    torch.manual_seed(config.seed)
    space = dataset.label_space
    shape = config.generator_config(space.classes, space.unknown, uses_instances(config, dataset))
    networks = Networks(
        build_generator(shape),
        build_discriminator(config.discriminator_config(shape.semantic_channels)),
        StyleEncoder(config.encoder_config()) if shape.style_dim else None,
    )
    for _, network in networks.items():
        initialise(network, config.init_gain)
    return networks


def train(data: str | Path, out: str | Path, config: TrainConfig, *, console: Console | None = None) -> Path:
    """Trains, or goes on where the run in `out` stopped; returns the model file.

    Args:
        data: a data set with a `train` split, and a `val` split for the sample grids where there is one.
        out: the run's folder: config.json, log.jsonl, samples/, state.safetensors, model.safetensors.
        config: must agree with the config of a run that is resumed, save for its length and what it writes.

    Raises:
        ValueError: for faults of data or config, in one sentence.
    """
    console = console or Console(stderr=True)
    transform = PairedTransform(
        config.data.size, config.data.load_size, flip=config.data.flip, resize=config.data.resize
    )
    dataset = open_dataset(data, "train", transform)
    folder = RunFolder.open(out, config)
    state = TrainState.start(build(config, dataset), config)
    if folder.state.exists():
        state.load(folder.state)
        console.print(f"resuming {folder.root} at {state.images:,} of {config.images:,} images")
    perceptual = None
    if config.loss.perceptual:
        vgg = load_vgg(config.loss.vgg)
        perceptual = PerceptualLoss(
            vgg,
            imagenet_normalisation=config.loss.imagenet_normalisation,
            scale=config.loss.perceptual_scale,
        )
    samples = SampleGrid(data, config)
    evaluation = Evaluation(data, config, folder.root) if config.evaluate_every else None
    for _, network in state.networks.items():
        network.train()

    stream = batches(dataset, config, state.images)
    with progress_bar(console) as bar, Log(folder.log, state.images) as log:
        task = bar.add_task("training", total=config.images, completed=state.images, note="")
        for items in stream:
            began = time.perf_counter()
            losses = step(state, to_batch(items, dataset, config, state.images), config, perceptual)
            before, state.images = state.images, state.images + config.batch
            seconds = (time.perf_counter() - began) / config.batch
            log.write(images=state.images, seconds_per_image=seconds, **losses)
            note = " ".join(f"{name} {losses[name]:.2f}" for name in ("gan", "d_real", "d_fake"))
            bar.update(task, completed=state.images, note=note)
            finished = state.images >= config.images
            # before the state is saved: a run that is killed here evaluates again when it goes on
            if evaluation and (finished or crossed(before, state.images, config.evaluate_every)):
                scores = evaluation(deliver(state, config, dataset), state.images)
                log.write(images=state.images, **scores)
            if finished or crossed(before, state.images, config.save_every):
                state.save(folder.state, config)
                deliver(state, config, dataset).save(folder.model)
            if config.sample_every and (finished or crossed(before, state.images, config.sample_every)):
                samples.save(state, folder.samples / f"{state.images:08d}.png")
    return folder.model


def crossed(before: int, after: int, every: int) -> bool:
    """Whether a multiple of `every` lies in (before, after]."""
    return after // every > before // every


def step(
    state: TrainState, batch: Batch, config: TrainConfig, perceptual: nn.Module | None
) -> dict[str, float]:
    """One step of generator and encoder, one of the discriminator on the same images, one of the averages."""
    torch.manual_seed(schedule.dropout_seed(config.seed, state.images))
    networks, settings = state.networks, config.optimiser
    factor = schedule.learning_rate_factor(state.images, config.images, settings.decay_from)
    for name, rate in (("generator", settings.lr_generator), ("discriminator", settings.lr_discriminator)):
        for group in state.optimisers[name].param_groups:
            group["lr"] = rate * factor

    networks.discriminator.requires_grad_(False)  # it only passes gradients on
    parts, fake = generator_step(networks, batch, config.loss, perceptual)
    descend(state.optimisers["generator"], sum_of(parts))
    networks.discriminator.requires_grad_(True)

    judged = discriminator_step(networks, batch, fake, config.loss)
    descend(state.optimisers["discriminator"], judged["d_fake"] + judged["d_real"])

    decay = schedule.ema_decay(state.images + config.batch, config.batch, settings)
    named = dict(networks.items())
    for name, average in state.averages.items():
        ema.update(average, named[name], decay)
    return {name: value.item() for name, value in (parts | judged).items()} | {"learning_rate_factor": factor}


def descend(optimiser: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()


def sum_of(parts: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.stack(list(parts.values())).sum()


def deliver(state: TrainState, config: TrainConfig, dataset: PairedDataset) -> Model:
    """The model of a run: the averaged generator and encoder."""
    info: dict[str, Any] = {
        "images": state.images,
        "attribution": config.attribution,
        "config": config.to_dict(),
    }
    generator, encoder = state.averages["generator"], state.averages.get("encoder")
    assert isinstance(generator, ImageGenerator)
    assert encoder is None or isinstance(encoder, StyleEncoder)
    return Model(generator, encoder, dataset.label_space, info)


class SampleGrid:
    """Layout, photo and several styles of the first layouts by name, the same ones all through a run."""

    def __init__(self, data: str | Path, config: TrainConfig) -> None:
        self.config = config
        self.dataset = open_dataset(
            data, sample_split(data), PairedTransform(config.data.size, resize=config.data.resize)
        )
        self.items = [self.dataset.sample(index) for index in range(min(SAMPLES, len(self.dataset)))]

    @torch.no_grad()
    def save(self, state: TrainState, path: Path) -> None:
        """Draws with the averaged generator: one style from the photo, the others from the prior."""
        batch = to_batch(self.items, self.dataset, self.config, 0)
        generator, encoder = state.averages["generator"], state.averages.get("encoder")
        styles: list[torch.Tensor | None] = [None]
        if encoder is not None:
            drawn = schedule.style_noise(self.config.seed, 0, STYLES - 1, self.config.generator.style_dim)
            styles = [encoder(batch.photo)[0], *(z.expand(len(self.items), -1) for z in drawn)]
        columns = [to_uint8(generator(batch.semantic, z)) for z in styles]
        space = self.dataset.label_space
        layouts = [
            space.colorize(np.where(i.labels == space.classes, space.ignore or 0, i.labels))
            for i in self.items
        ]
        rows = zip(layouts, (i.photo for i in self.items), *columns, strict=True)
        save_picture(path, grid([list(row) for row in rows]))


def sample_split(data: str | Path) -> str:
    """`val` where the data set has it, else `train`."""
    return "val" if "val" in find_layout(data).splits(data) else "train"
