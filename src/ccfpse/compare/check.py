"""Everything that can be wrong with a comparison, looked at before anything trains."""

import json
from pathlib import Path

import torch

from ccfpse import evaluation
from ccfpse.compare.cost import Cost, count
from ccfpse.compare.plan import Comparison, Run, System
from ccfpse.data import PairedTransform, open_dataset
from ccfpse.data.dataset import PairedDataset
from ccfpse.engine import find_device
from ccfpse.features import find_weights
from ccfpse.metrics.evaluate import CHUNK, check_enough
from ccfpse.metrics.inputs import data_hash
from ccfpse.models import ImageGenerator
from ccfpse.settings import fields
from ccfpse.training import loop
from ccfpse.training.config import TrainConfig
from ccfpse.training.report import CHANGEABLE, RunFolder

# What a run that has begun may change and stay comparable with the others.
HARMLESS = CHANGEABLE - {"images", "compute.precision", "optimiser.clip"}


def check(plan: Comparison) -> dict[str, Cost]:
    """The cost of each system by name.

    Raises:
        ValueError: for data that are missing or too few, networks that do not fit the size, evaluations that
            cannot be made, and runs that began with other settings; `MissingWeights` for public weights.
    """
    train = open_dataset(plan.data, "train", _transform(plan.systems[0].config))
    loop.uses_instances(plan.systems[0].config, train)
    _check_evaluation(plan)
    costs = {system.name: _check_system(plan, system, train) for system in plan.systems}
    _check_same_data(plan)
    for run in plan.runs:
        _check_begun(plan, run)
    for file in {system.config.loss.vgg for system in plan.systems if system.config.loss.perceptual}:
        find_weights("vgg19", file)
    return costs


def fingerprint(plan: Comparison) -> dict[str, str]:
    """A hash of the photos trained on, and one of those evaluated on."""
    opened = {split: open_dataset(plan.data, split) for split in ("train", plan.evaluation.split)}
    return {split: data_hash(dataset, dataset.label_space) for split, dataset in opened.items()}


def _check_same_data(plan: Comparison) -> None:
    if plan.photos.is_file() and json.loads(plan.photos.read_text("utf-8")) != fingerprint(plan):
        raise ValueError(
            f"{plan.data}: these are not the photos that {plan.out} was begun with ({plan.photos}); "
            "give those, or another out"
        )


def _transform(config: TrainConfig) -> PairedTransform:
    data = config.data
    return PairedTransform(data.size, data.load_size, flip=data.flip, resize=data.resize)


def _check_evaluation(plan: Comparison) -> None:
    chosen, config = plan.evaluation, plan.systems[0].config
    try:
        protocol = chosen.of_size(config)
        if not 1 <= chosen.batch <= CHUNK:
            raise ValueError(f"batch is {chosen.batch}, expected 1 to {CHUNK}")
        device = str(find_device(chosen.device))
    except ValueError as error:
        raise ValueError(f"{plan.source}: evaluation: {error}") from None
    pairs, space = evaluation.open_pairs(plan.data, chosen.split, protocol.size, protocol.resize)
    check_enough(evaluation.Spread(pairs, chosen.limit))
    for name in ("inception", "alexnet", "lpips_alexnet"):
        find_weights(name, chosen.weights_folder)
    if chosen.segmenter not in ("own", "none"):
        evaluation.find_segmenter(
            chosen.segmenter, plan.data, space, protocol, weights=chosen.weights_folder, device=device
        )


def _check_system(plan: Comparison, system: System, dataset: PairedDataset) -> Cost:
    """Builds the networks and passes one batch through them on the meta device, where nothing is computed."""
    config = system.config
    try:
        with torch.device("meta"):
            networks = loop.build(config, dataset)
        generator = networks.generator
        assert isinstance(generator, ImageGenerator)
        for network in networks.named.values():
            network.train()
        with torch.no_grad():
            photo = torch.zeros(config.batch, 3, *config.data.size, device="meta")
            channels = generator.config.semantic_channels
            semantic = torch.zeros(config.batch, channels, *config.data.size, device="meta")
            z = None if networks.encoder is None else networks.encoder(photo)[0]
            networks.discriminator(generator(semantic, z), semantic)
        return count(generator)
    except (ValueError, RuntimeError) as error:
        size = "×".join(map(str, config.data.size))
        raise ValueError(
            f"{plan.source}: system {system.name!r} does not run on batches of {config.batch} at {size}: "
            f"{error}"
        ) from None


def _check_begun(plan: Comparison, run: Run) -> None:
    folder = RunFolder(run.folder)
    saved = folder.config
    if not (saved.exists() and folder.state.exists()):
        return
    begun = {name: value for name, _, value, _ in fields(_read_config(saved))}
    now = {name: value for name, _, value, _ in fields(run.config)}
    changed = [name for name in now if name not in HARMLESS and begun.get(name) != now[name]]
    if changed:
        listed = ", ".join(f"{name} is {now[name]} but was {begun.get(name, 'none')}" for name in changed)
        raise ValueError(
            f"{plan.source}: {run} began otherwise in {run.folder}: {listed}; restore that, delete "
            "the folder, or give another out"
        )


def _read_config(path: Path) -> TrainConfig:
    try:
        return TrainConfig.from_dict(json.loads(path.read_text("utf-8")))
    except ValueError as error:
        raise ValueError(f"{path}: not the config of a run ({error}); delete the run's folder") from None
