"""What every generator and every discriminator is to the rest of the program.

A generator is `(semantic, z=None) -> image`, a discriminator `(image, semantic) -> (scores, features)`. Its
config is its settings (what a user chooses, a member of a tagged union) plus what the data decides.
"""

from dataclasses import dataclass

import torch
from torch import nn

ScoresAndFeatures = tuple[list[torch.Tensor], list[torch.Tensor]]


def check_size(size: tuple[int, int], multiple: int) -> None:
    """Raises ValueError unless height and width are positive multiples of `multiple`,
    naming the nearest that are.
    """
    if any(side < 1 or side % multiple for side in size):
        nearest = "×".join(str(max(1, round(side / multiple)) * multiple) for side in size)
        raise ValueError(
            f"size {size[0]}×{size[1]} does not fit this generator: height and width must be multiples of "
            f"{multiple}; the nearest is {nearest}"
        )


@dataclass(frozen=True)
class GeneratorSettings:
    """What a user chooses of a generator. Each system's own settings derive from this."""

    def __post_init__(self) -> None:
        """Raises ValueError for numbers that make no network; called by every subclass's own."""

    @property
    def kind(self) -> str:
        """The system's name in configs and model files."""
        raise NotImplementedError

    @property
    def style_dim(self) -> int:
        """Length of the style vector; 0 where one layout gives one image."""
        return 0

    @property
    def size_multiple(self) -> int:
        """Heights and widths must be multiples of this."""
        raise NotImplementedError


@dataclass(frozen=True)
class LayoutConfig(GeneratorSettings):
    """What the data decides of a generator.

    classes: label classes; `unknown` adds a channel for ignored pixels, `instances` one for instance edges.
    size: (height, width) it is trained at.
    """

    classes: int
    unknown: bool = True
    instances: bool = False
    size: tuple[int, int] = (256, 256)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.classes < 1:
            raise ValueError(f"classes is {self.classes}, expected 1 or more")
        check_size(self.size, self.size_multiple)

    @property
    def label_channels(self) -> int:
        """Channels of the semantic map of which one at most is 1: the classes, and unknown."""
        return self.classes + self.unknown

    @property
    def semantic_channels(self) -> int:
        """Channels S of the semantic map."""
        return self.label_channels + self.instances


class ImageGenerator(nn.Module):
    """The base of all generators: semantic N×S×H×W, z N×style_dim or None -> image N×3×H×W in [-1, 1].

    A generator without a style vector takes None only; for the others None is the prior's mean.
    """

    config: LayoutConfig

    def check(self, semantic: torch.Tensor, z: torch.Tensor | None) -> None:
        """Raises ValueError where a shape does not fit, saying what was expected."""
        config = self.config
        if semantic.ndim != 4 or semantic.shape[1] != config.semantic_channels:
            raise ValueError(
                f"semantic map has shape {tuple(semantic.shape)}, expected N×{config.semantic_channels}×H×W "
                f"({config.classes} classes, unknown: {config.unknown}, instances: {config.instances})"
            )
        check_size((semantic.shape[2], semantic.shape[3]), config.size_multiple)
        if z is not None and tuple(z.shape) != (len(semantic), config.style_dim):
            expected = (
                f"({len(semantic)}, {config.style_dim})"
                if config.style_dim
                else "None: it has no style vector"
            )
            raise ValueError(f"z has shape {tuple(z.shape)}, but this generator takes {expected}")


@dataclass(frozen=True)
class DiscriminatorSettings:
    """What a user chooses of a discriminator."""

    @property
    def kind(self) -> str:
        """The discriminator's name in configs."""
        raise NotImplementedError


@dataclass(frozen=True)
class SemanticConfig(DiscriminatorSettings):
    """What the data decides of a discriminator: the channels of the semantic map."""

    semantic_channels: int


class Discriminator(nn.Module):
    """The base of all discriminators: image N×3×H×W in [-1, 1], semantic N×S×H×W -> (scores, features).

    scores: N×1×h×w maps, one per scale; losses are averaged over them.
    features: maps for feature matching in `feature_groups` equal groups; their distances are summed within a
        group and averaged over the groups. Each feature of a pyramid is a group of its own (so that all are
        averaged); the layers of one scale of a patch discriminator are a group (so that they add up).
    """

    config: SemanticConfig

    @property
    def feature_groups(self) -> int:
        """Number of groups that the features make."""
        raise NotImplementedError
