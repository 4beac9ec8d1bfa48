"""A coarse-to-fine generator's fast form: folded weights, a plan per layout, and the image path per style."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from ccfpse.inference.cache import Sized
from ccfpse.inference.fold import SLOPE, Convolution, Place
from ccfpse.inference.image_path import FastBlock, Strips
from ccfpse.inference.layout import BlockLayout, FastPyramid, LayoutPlan
from ccfpse.inference.lookup import Codes, LabelTable
from ccfpse.inference.predict import Level, Strip
from ccfpse.inference.timing import Stopwatch
from ccfpse.models.coarse_to_fine import CoarseToFineConfig, CoarseToFineGenerator

STYLE_BYTES = 1 << 30  # what the activations of the styles drawn at once may take


@dataclass(frozen=True)
class FastGenerator:
    """An immutable `CoarseToFineGenerator` for inference, with the interface of `Form`."""

    config: CoarseToFineConfig
    place: Place
    start: LabelTable | torch.Tensor  # a look-up of the layout, or with a style its Linear's weight
    start_bias: torch.Tensor
    pyramid: FastPyramid | None
    blocks: tuple[FastBlock, ...]
    levels: tuple[int, ...]  # the resolution of each block, 0 being the coarsest
    to_image: Convolution

    @classmethod
    def of(
        cls, generator: CoarseToFineGenerator, place: Place, fold_block: Callable[..., FastBlock]
    ) -> "FastGenerator":
        """Folds a generator in eval mode, on any device; it is left as it is and shares nothing.

        `fold_block(block, place, config, factor=…)` folds one of its blocks.
        """
        config = generator.config
        levels = tuple(generator.levels)
        channels = config.label_channels
        start: LabelTable | torch.Tensor
        assert isinstance(generator.start, nn.Linear | nn.Conv2d)
        assert generator.start.bias is not None
        if isinstance(generator.start, nn.Linear):
            start = place.matrix(generator.start.weight)
        else:
            start = LabelTable.of(generator.start.weight, place, channels=channels)
        pyramid = None
        if generator.pyramid is not None:
            pyramid = FastPyramid.of(generator.pyramid, place, channels=channels)
        blocks = tuple(
            fold_block(block, place, config, factor=2 if level > before else 1)
            for block, level, before in zip(generator.blocks, levels, (0, *levels), strict=False)
        )
        to_image = place.convolution(generator.to_image.weight, generator.to_image.bias)
        start_bias = place.matrix(generator.start.bias)
        return cls(config, place, start, start_bias, pyramid, blocks, levels, to_image)

    def plan(
        self, labels: torch.Tensor, edges: torch.Tensor | None, *, keep_bytes: int, watch: Stopwatch
    ) -> LayoutPlan:
        """See `Form.plan`. Blocks keep what is predicted for them while it fits, the coarsest first.

        A predicted byte costs about the same work in every block, and coarse blocks are small: what does not
        fit is predicted again, strip by strip, whenever the layout is drawn.
        """
        levels = self._read(labels, edges)
        start = None
        if isinstance(self.start, LabelTable):
            start = self.start(levels[0].codes, 0, levels[0].size[0]) + self.start_bias.view(1, -1, 1, 1)
        watch.lap("layout")
        blocks = []
        for block, level in zip(self.blocks, (levels[index] for index in self.levels), strict=True):
            size = block.predicted_bytes(level)
            if size <= keep_bytes:
                keep_bytes -= size
                blocks.append(BlockLayout([tuple(strips) for strips in block.strips(level)], None))
            else:
                blocks.append(BlockLayout(None, level))
        watch.lap("kernels")
        return LayoutPlan((labels.shape[0], labels.shape[1]), start, tuple(blocks))

    def _read(self, labels: torch.Tensor, edges: torch.Tensor | None) -> list[Level]:
        """The layout at every resolution, from 1/2^upsamplings to the full one."""
        height, width = labels.shape
        device = self.place.device
        labels, edges = labels.to(device), None if edges is None else edges.to(device)
        scales = [
            Codes.at(labels, edges, (height >> halvings, width >> halvings), self.config.label_channels)
            for halvings in reversed(range(self.config.upsamplings + 1))
        ]
        features: Sequence[torch.Tensor | None] = [None] * len(scales)
        if self.pyramid is not None:
            features = self.pyramid(scales[-1])
        return [Level(*pair) for pair in zip(scales, features, strict=True)]

    def paint(self, plan: Sized, z: torch.Tensor | None, *, watch: Stopwatch) -> torch.Tensor:
        """See `Form.paint`. Each strip serves all styles before the next one is predicted."""
        assert isinstance(plan, LayoutPlan)
        if z is None:
            return self._paint(plan, self._start(plan, None), watch)
        groups = -(-len(z) // self._styles_at_once(plan.size))
        return torch.cat(
            [self._paint(plan, self._start(plan, some), watch) for some in z.tensor_split(groups)]
        )

    def _paint(self, plan: LayoutPlan, x: torch.Tensor, watch: Stopwatch) -> torch.Tensor:
        for block, layout in zip(self.blocks, plan.blocks, strict=True):
            strips: Strips | None = layout.strips
            if strips is None:
                assert layout.level is not None
                strips = [_timed(some, watch) for some in block.strips(layout.level)]
            x = block(x, strips)
        image = torch.tanh_(self.to_image(F.leaky_relu_(x, SLOPE)))
        watch.lap("image")
        return image

    def _start(self, plan: LayoutPlan, z: torch.Tensor | None) -> torch.Tensor:
        """N×C×h₀×w₀; as `Generator.start_grid`."""
        if plan.start is not None:
            return plan.start
        assert not isinstance(self.start, LabelTable)
        multiple = self.config.size_multiple
        trained = (self.config.size[0] // multiple, self.config.size[1] // multiple)
        grid = (plan.size[0] // multiple, plan.size[1] // multiple)
        if z is None:
            z = torch.zeros(1, self.config.style_dim)
        x = F.linear(z.to(self.place.device, self.place.dtype), self.start, self.start_bias)
        x = x.view(len(z), -1, *trained)
        if grid != trained:
            x = F.interpolate(x, grid, mode="bilinear", align_corners=False)
        return x.contiguous(memory_format=torch.channels_last)

    def _styles_at_once(self, size: tuple[int, int]) -> int:
        """The last block takes the most."""
        one = self.blocks[-1].held_channels * size[0] * size[1] * self.place.dtype.itemsize
        return max(1, int(STYLE_BYTES // one))


def _timed(strips: Iterable[Strip], watch: Stopwatch) -> Iterator[Strip]:
    """The same strips; the time that they take is that of the kernels."""
    iterator = iter(strips)
    while True:
        watch.lap("image")
        strip = next(iterator, None)
        watch.lap("kernels")
        if strip is None:
            return
        yield strip
