"""Activation checkpointing: what a generator's blocks compute is computed again in the backward pass.

"none" keeps all that the backward pass reads; "kernels" all but the predicted kernels, by far the most;
"full" keeps a block's inputs only. "selective" keeps the results of what is expensive, too, the convolutions,
and computes norms, activations and what is gated or modulated again, as Korthikanti et al. (2022, arXiv
2205.05198), who named both, do for transformers. The numbers stay the same.
"""

import functools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any, Literal

import torch
from torch import nn
from torch.utils.checkpoint import (
    CheckpointPolicy,
    checkpoint,
    create_selective_checkpoint_contexts,
)

from ccfpse.models.blocks import CCBlock

Checkpointing = Literal["none", "kernels", "selective", "full"]

EXPENSIVE = {torch.ops.ccfpse.predicted_cond_conv.default, torch.ops.ccfpse.label_conv.default}
# Of a convolution, for each number of its result. Below that (narrow 1×1 convolutions) memory is dearer.
EXPENSIVE_PRODUCTS = 256


def recompute(generator: nn.Module, how: Checkpointing) -> None:
    """From now on the blocks of `generator.blocks` and the layout pyramid are checkpointed like this.

    Generators without blocks stay as they are; ValueError where "full" is asked of them.
    """
    blocks = getattr(generator, "blocks", None)
    if how == "full" and not isinstance(blocks, nn.ModuleList):
        raise ValueError(
            f"compute.checkpointing=full needs a generator of blocks, {type(generator).__name__} is none; "
            "set compute.checkpointing=none"
        )
    parts = [part for part in (*(blocks or []), getattr(generator, "pyramid", None)) if part is not None]
    for part in parts:
        if isinstance(part, CCBlock):
            part.keep_kernels = how == "none"
        vars(part).pop("forward", None)
        if how in ("selective", "full"):  # forward alone changes: the names of the weights must not
            part.forward = functools.partial(_forward, part, part.forward, how)


def _forward(
    part: nn.Module, forward: Callable[..., Any], how: Checkpointing, *inputs: Any, **named: Any
) -> Any:
    if not (part.training and torch.is_grad_enabled()):
        return forward(*inputs, **named)
    before = _buffers(part)

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        if how == "full":
            return nullcontext(), _with_buffers(part, before)
        keep, use = create_selective_checkpoint_contexts(_policy)
        return keep, _both(use, _with_buffers(part, before))

    call = functools.partial(forward, **named)
    return checkpoint(call, *inputs, use_reentrant=False, context_fn=contexts)


def _policy(_: object, operator: object, *inputs: Any, **named: Any) -> CheckpointPolicy:
    expensive = operator in EXPENSIVE
    if operator is torch.ops.aten.convolution.default:
        weight = inputs[1]
        expensive = weight[0].numel() >= EXPENSIVE_PRODUCTS
    return CheckpointPolicy.MUST_SAVE if expensive else CheckpointPolicy.PREFER_RECOMPUTE


@contextmanager
def _both(first: AbstractContextManager, second: AbstractContextManager) -> Iterator[None]:
    with ExitStack() as stack:
        stack.enter_context(first)
        stack.enter_context(second)
        yield


def _buffers(part: nn.Module) -> list[dict[str, torch.Tensor | None]]:
    return [
        {name: None if value is None else value.clone() for name, value in module._buffers.items()}
        for module in part.modules()
    ]


@contextmanager
def _with_buffers(part: nn.Module, lent: list[dict[str, torch.Tensor | None]]) -> Iterator[None]:
    """The second time begins with the statistics and vectors that the first began with, and updates these
    copies: what a layer counts, it counts once.
    """
    modules = list(part.modules())
    own = [dict(module._buffers) for module in modules]
    for module, buffers in zip(modules, lent, strict=True):
        module._buffers.update(buffers)
    try:
        yield
    finally:
        for module, buffers in zip(modules, own, strict=True):
            module._buffers.update(buffers)
