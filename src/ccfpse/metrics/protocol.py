"""Every choice that changes a score, in one object: two numbers compare only when these agree."""

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Protocol:
    """How images are made and compared.

    size: (height, width) in pixels of photos, layouts and generated images.
    resize: how pairs come to that size: "stretch", or "cover" and a central crop (`data.PairedTransform`).
    style: "prior" (from N(0, I)), "reference" (the encoder on the real photo), "none" (no style vector).
    styles: images per layout. The first is scored, LPIPS diversity compares all; 1 means no diversity score.
    seed: of the styles (together with the layout's name), of KID's subsets and of the floor's split.
    ema: whether the generator's weights are the averaged ones.
    ignore: the headline accuracy: "labelled" leaves unlabelled pixels out, "all" counts them as wrong.
    segmenter: name of the network that reads the layout off the images, or "none".
    kid_subsets, kid_subset_size: see `kid.kid`. kid_pool: the most images that KID draws its subsets from.

    For a folder of images made elsewhere, `style` and `ema` are what its maker declares.
    """

    size: tuple[int, int]
    resize: Literal["stretch", "cover"] = "stretch"
    style: Literal["prior", "reference", "none"] = "prior"
    styles: int = 4
    seed: int = 0
    ema: bool = True
    ignore: Literal["labelled", "all"] = "labelled"
    segmenter: str = "none"
    kid_subsets: int = 100
    kid_subset_size: int = 1000
    kid_pool: int = 10_000

    def __post_init__(self) -> None:
        if len(self.size) != 2 or min(self.size) < 32:
            raise ValueError(f"size must be (height, width), 32 pixels at least, got {self.size!r}")
        choices = {
            "resize": ("stretch", "cover"),
            "style": ("prior", "reference", "none"),
            "ignore": ("labelled", "all"),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be {' or '.join(allowed)}, got {getattr(self, name)!r}")
        for name in ("styles", "kid_subsets", "kid_subset_size", "kid_pool"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 at least, got {getattr(self, name)}")
        if self.seed < 0:
            raise ValueError(f"seed must be 0 or more, got {self.seed}")
        if self.kid_subsets < 2:
            raise ValueError("kid_subsets must be 2 at least: the standard error is their spread")

    @classmethod
    def paper(cls, size: tuple[int, int], **changes: Any) -> "Protocol":
        """The CC-FPSE paper's choices: one image per layout, styled as its photo, weights not averaged."""
        choices: dict[str, Any] = {"style": "reference", "styles": 1, "ema": False}
        return cls(size, **(choices | changes))

    @classmethod
    def of_model(cls, base: Literal["default", "paper"], **choices: Any) -> "Protocol":
        """The choices of `base`, under those given, for what a model draws: it has one image of a layout
        unless styles come from the prior.

        Raises ValueError where more are chosen.
        """
        protocol = (cls.paper if base == "paper" else cls)(**choices)
        if protocol.style == "prior":
            return protocol
        if choices.get("styles", 1) > 1:
            raise ValueError(
                f"styles is {protocol.styles} with style {protocol.style!r}, but only style 'prior' gives "
                "more than one image of a layout; choose 1"
            )
        return dataclasses.replace(protocol, styles=1)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "Protocol":
        """The inverse of `dataclasses.asdict`, by way of JSON."""
        return cls(**(content | {"size": tuple(content["size"])}))

    def __str__(self) -> str:
        fields = dataclasses.asdict(self) | {"size": f"{self.size[0]}×{self.size[1]}"}
        return ", ".join(f"{name} {value}" for name, value in fields.items())

    def differences(self, other: "Protocol") -> list[str]:
        """One sentence part for each field that differs: `style: 'prior' and 'reference'`."""
        pairs = (
            (field.name, getattr(self, field.name), getattr(other, field.name))
            for field in dataclasses.fields(self)
        )
        return [f"{name}: {mine!r} and {theirs!r}" for name, mine, theirs in pairs if mine != theirs]
