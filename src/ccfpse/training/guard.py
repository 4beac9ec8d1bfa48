"""Steps whose gradients are not finite are left out; when that does not end, the run does."""

import torch
from torch import nn

from ccfpse.training.state import TrainState

PATIENCE = 10  # steps in a row


class Diverged(ValueError):
    """A run that cannot go on; the message says what was seen and what may help."""


class Guard:
    """Made before the forward passes of a step, asked before each optimiser's step.

    A forward pass that overflows leaves batch norm's running statistics broken for good, so these are kept
    and put back when the step is left out.
    """

    def __init__(self, state: TrainState) -> None:
        self.state = state
        networks = state.networks.named
        self.members = {
            "generator": [network for name, network in networks.items() if name != "discriminator"],
            "discriminator": [networks["discriminator"]],
        }
        self.kept = {
            name: [(buffer, buffer.clone()) for network in members for buffer in network.buffers()]
            for name, members in self.members.items()
        }

    def allows(self, name: str, norm: torch.Tensor, losses: dict[str, torch.Tensor]) -> bool:
        """Whether the optimiser `name` may step, by the norm of its gradients.

        Raises:
            Diverged: after ten steps in a row that it might not.
        """
        state = self.state
        if torch.isfinite(norm):
            state.skipped_in_a_row[name] = 0
            return True
        with torch.no_grad():
            for buffer, before in self.kept[name]:
                buffer.copy_(before)
        state.skipped[name] += 1
        state.skipped_in_a_row[name] += 1
        if state.skipped_in_a_row[name] >= PATIENCE:
            raise Diverged(self._diagnosis(name, losses))
        return False

    def _diagnosis(self, name: str, losses: dict[str, torch.Tensor]) -> str:
        seen = ", ".join(f"{key} {value.item():.4g}" for key, value in losses.items())
        rate = self.state.optimisers[name].param_groups[0]["lr"]
        return (
            f"the {name}'s gradients were not finite in {PATIENCE} steps in a row, at {self.state.images:,} "
            f"images (losses: {seen}; largest weight {_largest_weight(self.members[name]):.4g}; learning "
            f"rate {rate:.2g}). Go on from the last state on disk with --compute.precision=float32 or "
            "--optimiser.clip=10; if that does not help, begin another run with lower "
            "optimiser.lr_generator and optimiser.lr_discriminator"
        )


def gradient_norm(optimiser: torch.optim.Optimizer, clip: float) -> torch.Tensor:
    """The norm of all gradients of an optimiser, before they are scaled down to `clip` (0: not at all)."""
    parameters = [p for group in optimiser.param_groups for p in group["params"] if p.grad is not None]
    norm = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
    if clip:
        nn.utils.clip_grads_with_norm_(parameters, clip, norm)
    return norm


def _largest_weight(networks: list[nn.Module]) -> float:
    return max(p.detach().abs().max().item() for network in networks for p in network.parameters())
