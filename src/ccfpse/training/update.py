"""One step of a run: gradients over the parts of a batch, then the optimisers, then the averages."""

from collections import defaultdict
from collections.abc import Iterable
from contextlib import nullcontext

import torch
from torch import nn

from ccfpse.training import ema, schedule
from ccfpse.training.config import TrainConfig
from ccfpse.training.distributed import World, gradients_kept_apart
from ccfpse.training.guard import Guard, gradient_norm
from ccfpse.training.penalty import second_derivatives
from ccfpse.training.state import TRAINED, TrainState
from ccfpse.training.steps import Batch, Losses, Networks, discriminator_losses, generator_losses


def step(
    state: TrainState,
    parts: Iterable[Batch],
    config: TrainConfig,
    perceptual: nn.Module | None,
    world: World = World(),  # noqa: B008 (frozen)
) -> Losses:
    """One step of generator and encoder, one of the discriminator on the same images, one of the averages.

    parts: this process's share of the batch in `compute.accumulate` equal parts. Returns scalars to be
    averaged over the processes.
    """
    torch.manual_seed(schedule.dropout_seed(config.seed, state.images, world.rank))
    networks, settings = state.networks, config.optimiser
    rates = schedule.learning_rates(state.images, config)
    for name in TRAINED:
        state.optimisers[name].zero_grad(set_to_none=True)
        for group in state.optimisers[name].param_groups:
            group["lr"] = rates[name]

    guard = Guard(state)
    losses = _gradients(state, parts, config, perceptual, world)
    for name in TRAINED:
        norm = gradient_norm(state.optimisers[name], settings.clip)
        if guard.allows(name, norm, losses):
            state.optimisers[name].step()
        losses[f"{name}_gradient_norm"] = norm

    decay = schedule.ema_decay(state.images + config.batch, config.batch, settings)
    for name, average in state.averages.items():
        ema.update(average, networks.named[name], decay)
    return losses


def _gradients(
    state: TrainState, parts: Iterable[Batch], config: TrainConfig, perceptual: nn.Module | None, world: World
) -> Losses:
    """Adds the gradients of all parts up, averaged over the parts; returns the losses averaged alike.

    Both networks' gradients are taken before either steps, so that a part is made, used and dropped.
    """
    count, precision = config.compute.accumulate, config.compute.precision
    judge, replicas = state.networks.discriminator, state.replicas
    painters = Networks(replicas.generator, judge, replicas.encoder)  # the judge only passes gradients on
    r1 = schedule.r1_weight(state.images, config)
    sums: Losses = defaultdict(lambda: torch.zeros((), device=world.device))
    for number, batch in enumerate(parts, 1):
        with gradients_kept_apart(replicas, apart=number < count):
            judge.requires_grad_(False)
            painted, fake = generator_losses(
                painters, batch, config.loss, perceptual, parts=count * world.size, precision=precision
            )
            (sum_of(painted) / count).backward()
            judge.requires_grad_(True)

            with second_derivatives() if r1 else nullcontext():
                judged, accuracies = discriminator_losses(
                    replicas, batch, fake, config.loss, r1=r1, precision=precision
                )
                (sum_of(judged) / count).backward()
        for name, value in (painted | judged | accuracies).items():
            sums[name] = sums[name] + value.detach() / count
    return dict(sums)


def sum_of(losses: Losses) -> torch.Tensor:
    return torch.stack(list(losses.values())).sum()
