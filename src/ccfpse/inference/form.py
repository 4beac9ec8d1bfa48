"""What an engine draws with: a generator in two parts, one for the layout and one for the style."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn

from ccfpse.inference.cache import Sized
from ccfpse.inference.timing import Stopwatch
from ccfpse.models import semantic_map

PLAIN_STYLES = 4  # images that the plain generator draws at once; bounds the memory of many styles


class Form(Protocol):
    """A generator for inference. Immutable: one form serves any number of threads."""

    def plan(
        self, labels: torch.Tensor, edges: torch.Tensor | None, *, keep_bytes: int, watch: Stopwatch
    ) -> Sized:
        """Everything that does not depend on the style.

        Args:
            labels: H×W int64 in [0, classes], `classes` for unlabelled.
            edges: H×W bool, the instance edges, for generators that use them.
            keep_bytes: how much a plan may hold so that its pictures are drawn faster.
        """
        ...

    def paint(self, plan: Sized, z: torch.Tensor | None, *, watch: Stopwatch) -> torch.Tensor:
        """N×3×H×W in [-1, 1] for z N×style_dim; one image for None."""
        ...


@dataclass(frozen=True)
class PlainPlan:
    """The semantic map 1×S×H×W."""

    semantic: torch.Tensor

    @property
    def nbytes(self) -> int:
        return self.semantic.nbytes


@dataclass(frozen=True)
class PlainForm:
    """Any generator(semantic, z) as it is.

    unknown: whether it reads a channel for unlabelled pixels; without one these are zero in all channels.
    """

    generator: nn.Module
    classes: int
    unknown: bool
    device: torch.device
    dtype: torch.dtype

    def plan(
        self, labels: torch.Tensor, edges: torch.Tensor | None, *, keep_bytes: int, watch: Stopwatch
    ) -> PlainPlan:
        semantic = semantic_map(labels[None], self.classes, unknown=self.unknown, ignore=None)
        if edges is not None:
            semantic = torch.cat([semantic, edges[None, None].to(semantic.dtype)], dim=1)
        semantic = semantic.to(self.device, self.dtype)
        watch.lap("layout")
        return PlainPlan(semantic)

    def paint(self, plan: Sized, z: torch.Tensor | None, *, watch: Stopwatch) -> torch.Tensor:
        assert isinstance(plan, PlainPlan)
        styles = [None] if z is None else z.to(self.device, self.dtype).split(PLAIN_STYLES)
        images = [
            self.generator(plan.semantic.expand(1 if some is None else len(some), -1, -1, -1), some)
            for some in styles
        ]
        watch.lap("image")
        return torch.cat(images)
