"""The training loop: a function of the config, the data and the images seen."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from ccfpse.checkpoint import Model
from ccfpse.data import PairedTransform
from ccfpse.data.dataset import PairedDataset
from ccfpse.data.layouts import open_dataset
from ccfpse.data.verify import verify
from ccfpse.features import load_vgg
from ccfpse.losses import PerceptualLoss
from ccfpse.models import ImageGenerator, StyleEncoder, build_discriminator, build_generator
from ccfpse.models.layers import initialise
from ccfpse.training import schedule
from ccfpse.training.config import LossSettings, TrainConfig
from ccfpse.training.distributed import World, joined
from ccfpse.training.evaluation import Evaluation
from ccfpse.training.journal import Journal
from ccfpse.training.recompute import recompute_blocks
from ccfpse.training.report import RunFolder
from ccfpse.training.samples import SampleGrid
from ccfpse.training.state import TrainState
from ccfpse.training.steps import Networks
from ccfpse.training.stopping import Stopped, stop_requests
from ccfpse.training.stream import batches, to_batch, uses_instances
from ccfpse.training.unreadable import Unreadable
from ccfpse.training.update import step


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

    Under torchrun the processes share each batch; the first one writes and speaks.

    Args:
        data: a data set with a `train` split, and a `val` split for the sample grids where there is one.
        out: the run's folder: config.json, log.jsonl, tensorboard/, samples/, state.safetensors,
            model.safetensors.
        config: must agree with the config of a run that is resumed, save for its length and what it writes.

    Raises:
        ValueError: for faults of data or config, in one sentence.
        Stopped: after Ctrl-C or SIGTERM, with the state saved.
    """
    with joined(config.compute.device) as world:
        console = (console or Console(stderr=True)) if world.writes else Console(quiet=True)
        world.share(config.batch, config.compute.accumulate)
        transform = PairedTransform(
            config.data.size, config.data.load_size, flip=config.data.flip, resize=config.data.resize
        )
        dataset = open_dataset(data, "train", transform)
        folder = RunFolder.open(out, config, writes=world.writes)
        with ExitStack() as stack:
            if world.writes:
                stack.enter_context(folder.locked())
            if config.data.verify:
                verify(dataset, first=world.rank, step=world.size, progress=world.writes)
            state = begin(config, dataset, folder, world, console)
            run(state, data, dataset, folder, config, world, console)
        return folder.model


def begin(
    config: TrainConfig, dataset: PairedDataset, folder: RunFolder, world: World, console: Console
) -> TrainState:
    """The fresh state of a run, or the one it goes on from, ready to train."""
    networks = build(config, dataset)
    for _, network in networks.items():
        network.to(world.device)
    state = TrainState.start(networks, config)
    if folder.state.exists():
        state.load(folder.state)
        console.print(f"resuming {folder.root} at {state.images:,} of {config.images:,} images")
    world.require_same(state.images, "the states found in the run's folder")
    if config.compute.checkpointing:
        recompute_blocks(networks.generator)
    for _, network in networks.items():
        network.train()
    state.replicas = world.replicate(networks)
    return state


def run(
    state: TrainState,
    data: str | Path,
    dataset: PairedDataset,
    folder: RunFolder,
    config: TrainConfig,
    world: World,
    console: Console,
) -> None:
    """Steps to the end of the run, with what is done every so many images in between."""
    perceptual = perceptual_loss(config.loss, world.device)
    unreadable = Unreadable()
    share = world.share(config.batch, config.compute.accumulate)
    part = share // config.compute.accumulate
    samples = SampleGrid(data, config, world.device) if config.sample_every and world.writes else None
    evaluation = Evaluation(data, config, folder.root) if config.evaluate_every and world.writes else None
    with ExitStack() as stack:
        journal = stack.enter_context(Journal(folder, config, state.images, console, world))
        stop = stack.enter_context(stop_requests())

        def evaluate() -> None:
            assert evaluation is not None
            journal.scores(state.images, evaluation(deliver(state, config, dataset), state.images))

        def save() -> None:
            # The model first: a run that is killed in between goes on from its older state and writes both.
            deliver(state, config, dataset).save(folder.model)
            state.save(folder.state, config)

        def draw() -> None:
            assert samples is not None
            journal.picture(samples.draw(state), state.images)

        # What the first process does every so many images and at the end, in this order; 0 is never.
        # An evaluation comes before the state is saved: a run that is killed in it evaluates when it goes on.
        occasions: list[tuple[int, Callable[[], None]]] = [
            (config.evaluate_every, evaluate),
            (config.save_every, save),
            (config.sample_every, draw),
        ]
        began = time.perf_counter()
        for drawn in batches(dataset, config, state.images, world):
            chosen, skipped = unreadable.sift(drawn)
            first = state.images + world.rank * share
            parts = (
                to_batch(chosen[at : at + part], dataset, config, first + at, world.device)
                for at in range(0, share, part)
            )
            rates = schedule.learning_rates(state.images, config)
            measured = dict(step(state, parts, config, perceptual, world))
            numbers = world.mean(measured | {"stop": float(stop.came), "unreadable": float(len(skipped))})
            stopping = numbers.pop("stop") > 0
            state.unreadable += round(numbers.pop("unreadable") * world.size)
            before, state.images = state.images, state.images + config.batch
            seconds, began = time.perf_counter() - began, time.perf_counter()
            journal.record(state, numbers, rates, seconds, skipped)

            finished = state.images >= config.images
            for every, act in occasions if world.writes else []:
                if every and (finished or crossed(before, state.images, every)):
                    act()
            if stopping and not finished:
                if world.writes:
                    save()
                raise Stopped(
                    f"stopped at {state.images:,} of {config.images:,} images and saved; "
                    "the same command goes on from there"
                )
    if state.unreadable:
        console.print(unreadable.summary(state.unreadable))


def crossed(before: int, after: int, every: int) -> bool:
    """Whether a multiple of `every` lies in (before, after]."""
    return after // every > before // every


def perceptual_loss(settings: LossSettings, device: torch.device) -> PerceptualLoss | None:
    """The VGG distance, or None where its weight is 0."""
    if not settings.perceptual:
        return None
    distance = PerceptualLoss(
        load_vgg(settings.vgg),
        imagenet_normalisation=settings.imagenet_normalisation,
        scale=settings.perceptual_scale,
    )
    return distance.to(device)


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
