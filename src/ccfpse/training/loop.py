"""The training loop: a function of the config, the data and the images seen."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from ccfpse.checkpoint import Model
from ccfpse.data import PairedTransform
from ccfpse.data.dataset import PairedDataset
from ccfpse.data.layouts import open_dataset
from ccfpse.data.occurrence import meaningless, never
from ccfpse.data.verify import verify
from ccfpse.features import MissingWeights, find_weights, load_vgg
from ccfpse.losses import PerceptualLoss
from ccfpse.model_files import find_model
from ccfpse.models import ImageGenerator, LayoutConfig, StyleEncoder, build_discriminator, build_generator
from ccfpse.models.layers import initialise
from ccfpse.training import schedule
from ccfpse.training.config import LossSettings, TrainConfig
from ccfpse.training.distributed import World, joined
from ccfpse.training.evaluation import Evaluation
from ccfpse.training.hardware import in_words
from ccfpse.training.inherit import inherit
from ccfpse.training.journal import Journal
from ccfpse.training.precision import check
from ccfpse.training.recompute import recompute
from ccfpse.training.report import RunFolder
from ccfpse.training.samples import SampleGrid
from ccfpse.training.state import TrainState
from ccfpse.training.steps import Networks
from ccfpse.training.stopping import Stopped, stop_requests
from ccfpse.training.stream import batches, to_batch, uses_instances
from ccfpse.training.unreadable import Unreadable
from ccfpse.training.update import step

# What an evaluation may end with while the training is sound.
EVALUATION_FAILS = (ValueError, OSError, MemoryError, torch.OutOfMemoryError)


def build(config: TrainConfig, dataset: PairedDataset) -> Networks:
    """Freshly initialised networks, a function of the config's seed."""
    torch.manual_seed(config.seed)
    shape = generator_shape(config, dataset)
    networks = Networks(
        build_generator(shape),
        build_discriminator(config.discriminator_config(shape.semantic_channels)),
        StyleEncoder(config.encoder_config()) if shape.style_dim else None,
    )
    for network in networks.named.values():
        initialise(network, config.init_gain)
    return networks


def generator_shape(config: TrainConfig, dataset: PairedDataset) -> LayoutConfig:
    """What config and data make of the generator; ValueError where they do not agree."""
    space = dataset.label_space
    return config.generator_config(space.classes, space.unknown, uses_instances(config, dataset))


@dataclass(frozen=True)
class Run:
    """What stays the same from the first step of a run to the last."""

    data: str | Path
    given: TrainConfig  # as it is saved
    config: TrainConfig  # with what the data decided
    dataset: PairedDataset
    folder: RunFolder
    world: World
    console: Console


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
    with joined(config.compute.device) as world, in_words(), ExitStack() as stack:
        console = (console or Console(stderr=True)) if world.writes else Console(quiet=True)
        world.share(config.batch, config.compute.accumulate)
        if note := check(config.compute.precision, world.device):
            console.print(f"note: {note}")
        transform = PairedTransform(
            config.data.size, config.data.load_size, flip=config.data.flip, resize=config.data.resize
        )
        if config.data.instances is None:  # a run keeps to what it began with
            decided = config.override({"data.instances": RunFolder(Path(out)).instances()})
        else:
            decided = config
        dataset = open_dataset(data, "train", transform, instances=decided.data.instances is not False)
        if world.writes:
            stack.enter_context(RunFolder(Path(out)).locked())
        folder = RunFolder.open(out, config)
        folder.require_longer(config)
        generator_shape(decided, dataset)  # a size that does not fit is told before all files are read
        if config.start_from is not None and not folder.state.exists():
            find_model(config.start_from)  # so is a slip here
        find_vgg(config.loss, world)  # and what cannot be downloaded
        # What a step depends on is decided once, by the split trained on; the saved config stays as given.
        decided = decided.override({"data.instances": uses_instances(decided, dataset)})
        run = Run(data, config, decided, dataset, folder, world, console)
        look_at_files(run)
        go_on(run, begin(run))
        return folder.model


def find_vgg(settings: LossSettings, world: World) -> None:
    """Sees to it that the weights of VGG are on this host; one of its processes downloads them.

    Raises `MissingWeights`.
    """
    if not settings.perceptual:
        return
    if world.local_rank > 0:
        world.wait()
    try:
        find_weights("vgg19", settings.vgg)
    except MissingWeights as error:
        cure = "name a file of VGG19 or VGG16 by --loss.vgg=FILE, or do without by --loss.perceptual=0"
        raise MissingWeights(f"{error}; {cure}") from None
    if world.local_rank == 0:
        world.wait()


def look_at_files(run: Run) -> None:
    """Refuses what cannot be trained on, before the first step."""
    for read in datasets_read(run):
        uses_instances(run.config, read)  # val must have what train has
        if not run.config.data.verify:
            continue
        try:
            occurs = verify(read, first=run.world.rank, step=run.world.size, progress=run.world.writes)
        except ValueError as error:
            if not run.folder.state.exists():
                raise
            cure = "the run goes on without what cannot be read where --data.verify=false is given"
            raise ValueError(f"{error}\n{cure}") from error
        if read is run.dataset and not read.remote:  # of remote sets too little was seen
            require_classes(run, np.any(run.world.gather([occurs]), axis=0))


def require_classes(run: Run, occurs: np.ndarray) -> None:
    """ValueError for label maps that tell nothing; a note on classes that are listed but not learnt."""
    split, space = run.dataset.split, run.dataset.label_space
    if fault := meaningless(split, space, occurs):
        run.dataset.refuse([fault])
    if unused := never(space, occurs):
        listed = ", ".join(unused[:8]) + ", …" * (len(unused) > 8)
        run.console.print(
            f"note: {len(unused)} of {len(space)} classes are not in the label maps looked at: {listed}",
            markup=False,
            soft_wrap=True,
        )


def datasets_read(run: Run) -> list[PairedDataset]:
    """The split trained on, and `val` where the set has it and samples or evaluations are made of it."""
    used = run.config.sample_every or run.config.evaluate_every
    if used and "val" in run.dataset.splits(run.data):
        return [run.dataset, open_dataset(run.data, "val", instances=bool(run.config.data.instances))]
    return [run.dataset]


def begin(run: Run) -> TrainState:
    """The fresh state of a run, or the one it goes on from, ready to train."""
    networks = build(run.config, run.dataset)
    images_before = 0
    if run.config.start_from is not None and not run.folder.state.exists():
        note, images_before = inherit(networks, run.config.start_from, run.dataset.label_space)
        run.console.print(note, soft_wrap=True)
    for network in networks.named.values():
        network.to(run.world.device)
    state = TrainState.start(networks, run.config)
    state.images_before = images_before
    if run.folder.state.exists():
        state.load(run.folder.state, run.dataset.label_space)
        run.console.print(f"resuming {run.folder.root} at {state.images:,} of {run.config.images:,} images")
    run.world.require_same(state.images, "the states found in the run's folder")
    run.world.require_same(len(run.dataset), "the numbers of samples found in the data set")
    if state.samples not in (None, len(run.dataset)):
        run.console.print(
            f"note: {run.dataset.root} had {state.samples:,} samples and has {len(run.dataset):,} now; their "
            "order is another from here on",
            soft_wrap=True,
        )
    state.samples = len(run.dataset)
    recompute(networks.generator, run.config.compute.checkpointing)
    for network in networks.named.values():
        network.train()
    state.replicas = run.world.replicate(networks)
    return state


def go_on(run: Run, state: TrainState) -> None:
    """Steps to the end of the run."""
    config, world = run.config, run.world
    perceptual = perceptual_loss(state, config.loss, world.device)
    unreadable = Unreadable()
    share = world.share(config.batch, config.compute.accumulate)
    part = share // config.compute.accumulate
    journal = Journal(run.folder, config, state.images, run.console, world)
    due = occasions(run, state, journal) if world.writes else []
    claim(run)
    with journal, stop_requests(speaks=world.writes) as stop:
        began = time.perf_counter()
        for drawn in batches(run.dataset, config, state.images, world):
            chosen, skipped = unreadable.sift(drawn)
            first = state.images + world.rank * share
            parts = (
                to_batch(chosen[at : at + part], run.dataset, config, first + at, world.device)
                for at in range(0, share, part)
            )
            rates = schedule.learning_rates(state.images, config)
            losses = dict(step(state, parts, config, perceptual, world))
            numbers = world.mean(losses | {"stop": float(stop.came), "unreadable": float(len(skipped))})
            stopping = numbers.pop("stop") > 0
            if numbers.pop("unreadable") > 0:
                skipped = world.gather(skipped)
                unreadable.count(skipped)
                state.unreadable += len(skipped)
            before, state.images = state.images, state.images + config.batch
            journal.record(state, numbers, rates, time.perf_counter() - began, skipped)

            finished = state.images >= config.images
            for every, act in due:
                if every and (finished or crossed(before, state.images, every)):
                    act()
            if stopping and not finished:
                if world.writes:
                    save(run, state)
                raise Stopped(
                    f"stopped at {state.images:,} of {config.images:,} images and saved; "
                    "the same command goes on from there"
                )
            began = time.perf_counter()
    if state.unreadable:
        run.console.print(unreadable.summary(state.unreadable), markup=False)


def claim(run: Run) -> None:
    """Makes the folder this run's: last, so that a start that is refused leaves it as it was."""
    if run.world.writes and (aside := run.folder.claim(run.given)):
        run.console.print(
            f"{run.folder.model}: no state to go on from, so the run begins anew and the model is kept as "
            f"{aside}; --start_from={aside} in a new --out goes on from its weights",
            soft_wrap=True,
        )


def occasions(run: Run, state: TrainState, journal: Journal) -> list[tuple[int, Callable[[], None]]]:
    """What the first process does every so many images and at the end, in this order; 0 is never.

    The state is saved last: a run that is killed on the way there draws and evaluates when it goes on.
    """
    config = run.config
    samples = SampleGrid(run.data, config, run.world.device) if config.sample_every else None
    if samples is not None:
        for fault in samples.unreadable:
            run.console.print(f"note: left out of the sample grids: {fault}", markup=False, soft_wrap=True)
    device = run.world.device
    evaluation = Evaluation(run.data, config, run.folder, device) if config.evaluate_every else None

    def evaluate() -> None:
        assert evaluation is not None
        try:
            scores = evaluation(deliver(state, config, run.dataset), state.images)
        except EVALUATION_FAILS as error:  # the training does not depend on it
            run.console.print(f"no evaluation at {state.images:,} images: {error}", markup=False)
        else:
            journal.scores(state.images, scores)

    def draw() -> None:
        assert samples is not None
        journal.picture(samples.draw(state), state.images)

    def keep() -> None:
        journal.flush()
        save(run, state)

    return [(config.sample_every, draw), (config.evaluate_every, evaluate), (config.save_every, keep)]


def save(run: Run, state: TrainState) -> None:
    """The state to go on from, and the model so far."""
    # The model first: a run that is killed in between goes on from its older state and writes it again.
    deliver(state, run.config, run.dataset).save(run.folder.model)
    state.save(run.folder.state, run.config, run.dataset.label_space)


def crossed(before: int, after: int, every: int) -> bool:
    """Whether a multiple of `every` lies in (before, after]."""
    return after // every > before // every


def perceptual_loss(state: TrainState, settings: LossSettings, device: torch.device) -> PerceptualLoss | None:
    """The VGG distance, or None where its weight is 0. The state keeps which VGG it is; ValueError for
    another than the run began with.
    """
    if not settings.perceptual:
        return None
    features = load_vgg(settings.vgg)
    if state.vgg not in (None, features.name):
        raise ValueError(
            f"loss.vgg: the run began with features of {state.vgg}, but {settings.vgg or 'the default'} is "
            f"{features.name}; name a file of {state.vgg}, or give another --out"
        )
    state.vgg = features.name
    distance = PerceptualLoss(
        features,
        imagenet_normalisation=settings.imagenet_normalisation,
        scale=settings.perceptual_scale,
    )
    return distance.to(device)


def deliver(state: TrainState, config: TrainConfig, dataset: PairedDataset) -> Model:
    """The model of a run: the averaged generator and encoder, and the discriminator as it is."""
    info: dict[str, Any] = {
        "images": state.images,
        "images_before": state.images_before,
        "attribution": config.attribution,
        "config": config.to_dict(),
    }
    generator, encoder = state.averages["generator"], state.averages.get("encoder")
    assert isinstance(generator, ImageGenerator)
    assert encoder is None or isinstance(encoder, StyleEncoder)
    return Model(generator, encoder, dataset.label_space, info, state.networks.discriminator.state_dict())
