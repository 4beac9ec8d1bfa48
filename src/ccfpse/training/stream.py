"""The images of a run in order, as batches: which ones follows from the seed and the images seen."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from ccfpse.data import CorruptSample, Sample
from ccfpse.data.dataset import PairedDataset
from ccfpse.data.sampler import SampleOrder
from ccfpse.models import semantic_map
from ccfpse.pictures import to_tensor
from ccfpse.training import augment, schedule
from ccfpse.training.config import TrainConfig
from ccfpse.training.distributed import World
from ccfpse.training.steps import Batch
from ccfpse.training.stopping import end_with_the_parent

TRIES = 32  # samples read for one place in a batch before it counts as hopeless


@dataclass(frozen=True)
class Drawn:
    """The sample for a place in a batch (None: `TRIES` could not be read), and what was skipped for it."""

    sample: Sample | None
    skipped: tuple[CorruptSample, ...]


class TrainingStream(Dataset[Drawn]):
    """The k-th item is the k-th image of the run:
    which photo, which crop and whether mirrored follow from k.
    """

    def __init__(self, dataset: PairedDataset, seed: int) -> None:
        self.dataset = dataset
        self.order = SampleOrder(len(dataset), seed, dataset.groups)

    def __getitem__(self, position: int) -> Drawn:
        skipped: list[CorruptSample] = []
        for index in self.order.candidates(position, TRIES):
            try:
                return Drawn(self.dataset.sample(index, self.order.rng(position)), tuple(skipped))
            except CorruptSample as error:
                skipped.append(error)
        return Drawn(None, tuple(skipped))


def batches(
    dataset: PairedDataset,
    config: TrainConfig,
    first: int,
    world: World = World(),  # noqa: B008 (frozen)
) -> Iterator[list[Drawn]]:
    """A process's shares of the batches of consecutive images, from the `first`-th on to the run's end."""
    share = world.share(config.batch, config.compute.accumulate)
    starts = range(first + world.rank * share, config.images + world.rank * share, config.batch)
    with warnings.catch_warnings():  # more workers than cores: whether that helps, the disk decides
        warnings.filterwarnings("ignore", "This DataLoader will create")
        reads: Any = iter(
            DataLoader(
                TrainingStream(dataset, config.seed),
                batch_sampler=(list(range(start, start + share)) for start in starts),
                num_workers=config.data.workers,
                collate_fn=list,
                worker_init_fn=end_with_the_parent,
            )
        )
    try:
        yield from reads
    finally:
        # A worker's exception holds the iterator in a cycle of references, and at the interpreter's end its
        # workers, which a signal does not stop, would be waited for.
        if config.data.workers:
            reads._shutdown_workers()
            for worker in reads._workers:  # one that waits for a drive heeds nothing, and would be waited for
                worker.kill()


def to_batch(
    samples: Sequence[Sample],
    dataset: PairedDataset,
    config: TrainConfig,
    first: int,
    device: torch.device = torch.device("cpu"),  # noqa: B008 (immutable)
) -> Batch:
    """Samples as tensors, with the style noise of the `first`-th image of the run and those after it."""
    noise = augmentation = None
    if config.generator.style_dim:
        noise = schedule.style_noise(config.seed, first, len(samples), config.generator.style_dim).to(device)
    if kinds := config.small_data.augmentations:
        draws = schedule.augmentation_draws(config.seed, first, len(samples), augment.DRAWS)
        augmentation = augment.Augmentation(kinds, draws.to(device))
    space = dataset.label_space
    instances = None
    if uses_instances(config, dataset):
        ids = np.stack([s.instances for s in samples if s.instances is not None])
        instances = torch.from_numpy(ids).to(device)
    labels = torch.from_numpy(np.stack([s.labels for s in samples])).to(device)
    semantic = semantic_map(labels, space.classes, unknown=space.unknown, instances=instances, ignore=None)
    photo = to_tensor(np.stack([s.photo for s in samples])).to(device)
    return Batch(photo, semantic, noise, augmentation)


def uses_instances(config: TrainConfig, dataset: PairedDataset) -> bool:
    """Whether the networks get the instance-edge channel."""
    if config.data.instances and not dataset.has_instances:
        raise ValueError(
            f"{dataset.root}: no instances in {dataset.split}, but the networks are to read their edges; "
            "add the instance maps, or set data.instances=false"
        )
    return dataset.has_instances if config.data.instances is None else config.data.instances
