"""The CC-FPSE generator's fast form: folded weights, a plan per layout, and the image path per style."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from ccfpse.inference.block import FastBlock, Strips
from ccfpse.inference.cache import Sized
from ccfpse.inference.fold import SLOPE, Convolution, Place
from ccfpse.inference.layout import BlockLayout, FastPyramid, LayoutPlan
from ccfpse.inference.lookup import Codes, LabelTable, semantic_codes
from ccfpse.inference.predict import Strip
from ccfpse.inference.timing import Stopwatch
from ccfpse.models import Generator, GeneratorConfig
from ccfpse.models.blocks import CCBlock

STYLE_BYTES = 1 << 30  # what the activations of the styles drawn at once may take


@dataclass(frozen=True)
class FastGenerator:
    """An immutable `Generator` for inference, with the interface of `Form`."""

    config: GeneratorConfig
    place: Place
    start: LabelTable | torch.Tensor  # a look-up of the layout, or with a style its Linear's weight
    start_bias: torch.Tensor
    pyramid: FastPyramid
    blocks: tuple[FastBlock, ...]
    levels: tuple[int, ...]  # the pyramid's level of each block
    to_image: Convolution

    @classmethod
    def of(cls, generator: Generator, place: Place) -> "FastGenerator":
        """Folds a generator in eval mode, on any device; it is left as it is and shares nothing."""
        config = generator.config
        levels = tuple(generator.levels)
        assert generator.pyramid is not None
        classes, unknown = config.classes, config.unknown
        start: LabelTable | torch.Tensor
        assert isinstance(generator.start, nn.Linear | nn.Conv2d)
        assert generator.start.bias is not None
        if isinstance(generator.start, nn.Linear):
            start = place.matrix(generator.start.weight)
        else:
            start = LabelTable.of(generator.start.weight, place, classes=classes, unknown=unknown)
        return cls(
            config,
            place,
            start,
            place.matrix(generator.start.bias),
            FastPyramid.of(generator.pyramid, place, classes=classes, unknown=unknown),
            tuple(
                FastBlock.of(
                    block,
                    place,
                    factor=2 if level > before else 1,
                    semantic_channels=config.semantic_channels,
                    classes=classes,
                    unknown=unknown,
                )
                for block, level, before in zip(generator.blocks, levels, [0, *levels], strict=False)
                if isinstance(block, CCBlock)
            ),
            levels,
            place.convolution(generator.to_image.weight, generator.to_image.bias),
        )

    def plan(
        self, labels: torch.Tensor, edges: torch.Tensor | None, *, keep_bytes: int, watch: Stopwatch
    ) -> LayoutPlan:
        """See `Form.plan`. Blocks keep what is predicted for them while it fits, the coarsest first.

        A predicted byte costs about the same work in every block, and coarse blocks are small: what does not
        fit is predicted again, strip by strip, whenever the layout is drawn.
        """
        codes = semantic_codes(labels, edges, self.config.classes).to(self.place.device)
        beyond = self.pyramid.table.beyond
        levels = self.pyramid(Codes.at(codes, (labels.shape[0], labels.shape[1]), beyond))
        scales = [Codes.at(codes, (level.shape[2], level.shape[3]), beyond) for level in levels]
        start = None
        if isinstance(self.start, LabelTable):
            start = self.start(scales[0], 0, levels[0].shape[2]) + self.start_bias.view(1, -1, 1, 1)
        watch.lap("layout")
        blocks = []
        for block, level in zip(self.blocks, self.levels, strict=True):
            features, scale = levels[level], scales[level]
            size = block.predicted_bytes(features.shape[2], features.shape[3])
            if size <= keep_bytes:
                keep_bytes -= size
                first, second = block.strips(features, scale)
                blocks.append(BlockLayout((tuple(first), tuple(second)), None, None))
            else:
                blocks.append(BlockLayout(None, features, scale))
        watch.lap("kernels")
        return LayoutPlan((labels.shape[0], labels.shape[1]), start, tuple(blocks))

    def paint(self, plan: Sized, z: torch.Tensor | None, *, watch: Stopwatch) -> torch.Tensor:
        """See `Form.paint`. Each strip of kernels serves all styles before the next one is predicted."""
        assert isinstance(plan, LayoutPlan)
        if z is None:
            return self._paint(plan, self._start(plan, None), watch)
        groups = -(-len(z) // self._styles_at_once(plan.size))
        return torch.cat(
            [self._paint(plan, self._start(plan, some), watch) for some in z.tensor_split(groups)]
        )

    def _paint(self, plan: LayoutPlan, x: torch.Tensor, watch: Stopwatch) -> torch.Tensor:
        for block, layout in zip(self.blocks, plan.blocks, strict=True):
            strips: Strips
            if layout.strips is not None:
                strips = layout.strips
            else:
                assert layout.features is not None
                assert layout.codes is not None
                first, second = block.strips(layout.features, layout.codes)
                strips = (_timed(first, watch), _timed(second, watch))
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
        """The last block's input, middle and output are the most that one style holds."""
        last = self.blocks[-1]
        middle, out = (len(stage.mix.weight) for stage in last.stages)
        channels = last.stages[0].scale.shape[1] / last.factor**2 + middle + out
        one = channels * size[0] * size[1] * self.place.dtype.itemsize
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
