"""Everything that can be wrong with a comparison, looked at before anything trains."""

import functools
import json
import warnings
from pathlib import Path

import torch

from ccfpse import evaluation
from ccfpse.checkpoint import load_content
from ccfpse.compare.cost import Cost, count
from ccfpse.compare.plan import Comparison, Run, System
from ccfpse.data import PairedTransform, open_dataset
from ccfpse.data.dataset import PairedDataset
from ccfpse.engine import find_device
from ccfpse.features import find_weights, load_vgg
from ccfpse.labels import LabelSpace
from ccfpse.metrics.evaluate import CHUNK, check_enough
from ccfpse.metrics.inputs import data_hash
from ccfpse.models import ImageGenerator
from ccfpse.settings import fields
from ccfpse.training import loop
from ccfpse.training.config import TrainConfig
from ccfpse.training.inherit import inherit
from ccfpse.training.report import CHANGEABLE, RunFolder
from ccfpse.training.steps import Networks

# What a run that has begun may change and stay comparable with the others; of loss.vgg the place alone.
HARMLESS = CHANGEABLE - {"images", "compute.precision", "optimiser.clip"}


def check(plan: Comparison) -> dict[str, Cost]:
    """The cost of each system by name.

    Raises:
        ValueError: for data that are missing or too few, networks that do not fit the size or the model to
            start from, evaluations that cannot be made, and runs that began with other settings;
            `MissingWeights` for public weights.
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
    """The `data_hash` of the photos trained on, and that of those evaluated on."""
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
        cost = count(generator)
    except (ValueError, RuntimeError) as error:
        size = "×".join(map(str, config.data.size))
        raise ValueError(
            f"{plan.source}: system {system.name!r} does not run on batches of {config.batch} at {size}: "
            f"{error}"
        ) from None
    _check_start(plan, system, networks, dataset.label_space)
    return cost


def _check_start(plan: Comparison, system: System, networks: Networks, space: LabelSpace) -> None:
    """ValueError where the model that the system's runs start from is none, or fits nothing of theirs."""
    source = system.config.start_from
    own = [run for run in plan.runs if run.system == system]
    begun = all(RunFolder(run.folder).state.exists() or run.result.exists() for run in own)
    if source is None or begun:  # it is read once
        return
    try:
        with warnings.catch_warnings(action="ignore"):  # that nothing is copied to the meta device
            inherit(networks, source, space)
    except ValueError as error:
        raise ValueError(f"{plan.source}: system {system.name!r}: start_from: {error}") from None


def _check_begun(plan: Comparison, run: Run) -> None:
    folder = RunFolder(run.folder)
    there = (folder.state, folder.model, run.result)  # without a state, too, a run may be finished
    if not folder.config.exists() or not any(path.exists() for path in there):
        return
    begun = {name: value for name, _, value, _ in fields(_read_config(folder.config))}
    now = {name: value for name, _, value, _ in fields(run.config)}
    changed = [name for name in now if name not in HARMLESS and begun.get(name) != now[name]]
    told = [f"{name} is {now[name]} but was {begun.get(name, 'none')}" for name in changed]
    if now["loss.vgg"] != begun["loss.vgg"] and folder.state.exists():
        told += _other_vgg(load_content(folder.state).get("vgg"), now["loss.vgg"])
    if told:
        listed = ", ".join(told)
        raise ValueError(
            f"{plan.source}: {run} began otherwise in {run.folder}: {listed}; restore that, delete "
            "the folder, or give another out"
        )


def _other_vgg(begun: str | None, file: str | None) -> list[str]:
    """What is wrong with `file` for a run that began with features of `begun`; None where its state does
    not tell."""
    if begun is None:
        return []
    now = "vgg19" if file is None else _kind_of_vgg(file)
    return [] if now == begun else [f"loss.vgg is {file or 'the default'}, {now}, but was {begun}"]


@functools.cache
def _kind_of_vgg(file: str) -> str:
    return load_vgg(file).name


def _read_config(path: Path) -> TrainConfig:
    try:
        return TrainConfig.from_dict(json.loads(path.read_text("utf-8")))
    except ValueError as error:
        raise ValueError(f"{path}: not the config of a run ({error}); delete the run's folder") from None
