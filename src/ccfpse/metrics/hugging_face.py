"""Public segmentation networks from Hugging Face, their classes mapped to the data set's label space."""

import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ccfpse.labels import LabelSpace
from ccfpse.metrics.hashes import hash_weights
from ccfpse.pictures import to_tensor

# The ids of the data set, in the order of the networks' outputs.
TABLES: dict[str, tuple[int, ...]] = {
    "ADE20K": tuple(range(150)),
    "Cityscapes": (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33),
}


# Processors by the start of their name. To some a single number is the shortest edge; to all others it is the
# side of a square (`default_to_square` in transformers). One gives BGR, unnormalised, unless told otherwise.
SHORTEST_EDGE = ("Bit", "ConvNext", "MobileNetV", "MobileViT", "PoolFormer")
BLUE_FIRST = "MobileViT"


def class_table(model_names: Sequence[str], label_space: LabelSpace) -> np.ndarray:
    """For each class of a network its id in the label space, `label_space.classes` where there is none.

    One of TABLES where the network has that many classes and half of their names agree (networks shorten
    names differently), else by name: case, underscores and synonyms after a comma or semicolon do not matter.
    Raises ValueError when nothing matches.
    """
    own, theirs = [_plain(name) for name in label_space.names], [_plain(name) for name in model_names]
    for ids in TABLES.values():
        if len(ids) == len(theirs) and max(ids) < len(own):
            agreeing = sum(own[own_id] == name for own_id, name in zip(ids, theirs, strict=True))
            if 2 * agreeing >= len(ids):
                return np.array(ids)
    table = np.array([own.index(name) if name in own else label_space.classes for name in theirs])
    if (table == label_space.classes).all():
        raise ValueError(
            f"the network's classes ({', '.join(model_names[:5])}, …) and the data set's"
            f" ({', '.join(label_space.names[:5])}, …) have no name in common; train a segmenter on the data"
            " instead: `ccfpse train-segmenter`"
        )
    return table


@dataclass(frozen=True)
class Preparation:
    """How photos become what a network sees. size: as in the file, {} for any. mean, std: 1×3×1×1."""

    size: dict[str, Any]
    mean: Tensor
    std: Tensor
    blue_first: bool

    @classmethod
    def read(cls, model: str | Path, settings: dict[str, Any]) -> "Preparation":
        """Of a preprocessor_config.json; ValueError for scales of the pixels that are not served."""
        from transformers.image_processing_utils import get_size_dict

        kind = settings.get("image_processor_type") or settings.get("feature_extractor_type") or ""
        factor = 1.0 if settings.get("do_rescale") is False else settings.get("rescale_factor") or 1 / 255
        if not math.isclose(factor, 1 / 255, rel_tol=1e-3):
            raise ValueError(
                f"{model}: its preprocessor_config.json scales pixels by {factor:g}, but only 1/255 is"
                " served; give another model, or train one on the data: `ccfpse train-segmenter`"
            )
        size = settings.get("size") or {} if settings.get("do_resize", True) else {}
        if not isinstance(size, dict):  # of old configs: a number or two
            size = get_size_dict(size, default_to_square=not kind.startswith(SHORTEST_EDGE))
        normalised = settings.get("do_normalize", not kind.startswith(BLUE_FIRST))
        mean = settings.get("image_mean") if normalised else None
        std = settings.get("image_std") if normalised else None
        return cls(
            size,
            torch.tensor(mean or [0.0, 0.0, 0.0]).view(1, 3, 1, 1),
            torch.tensor(std or [1.0, 1.0, 1.0]).view(1, 3, 1, 1),
            bool(settings.get("do_flip_channel_order", kind.startswith(BLUE_FIRST))),
        )

    def __call__(self, photos: np.ndarray) -> Tensor:
        """N×H×W×3 uint8 to N×3×h×w float."""
        images = (to_tensor(photos) + 1) / 2
        target = _target(tuple(images.shape[2:]), self.size)
        if target != images.shape[2:]:
            images = F.interpolate(images, target, mode="bilinear", antialias=True)
        if self.blue_first:
            images = images.flip(1)
        return (images - self.mean) / self.std

    @property
    def choices(self) -> tuple[Any, ...]:
        """All of it as plain numbers and text."""
        order = ("BGR",) if self.blue_first else ()
        return (sorted(self.size.items()), self.mean.tolist(), self.std.tolist(), *order)


class HuggingFaceSegmenter:
    """A semantic segmentation network with per-pixel logits (SegFormer, UperNet, BEiT, …) as a `Segmenter`.

    model: a name on the hub or a folder. The photos are prepared as its preprocessor_config.json says (save
    for crops: all pixels are read), and the logits resized back to the photos' size. Raises ValueError with
    one sentence when `transformers` is not installed, the model cannot be loaded, or it wants photos prepared
    in a way that is not served.
    """

    def __init__(self, model: str | Path, label_space: LabelSpace, device: str = "cpu") -> None:
        try:
            from transformers import AutoModelForSemanticSegmentation, ImageProcessingMixin
        except ImportError:
            raise ValueError(
                f'{model} is a Hugging Face model, which needs transformers: pip install "ccfpse[evaluate]"'
            ) from None
        try:
            network = AutoModelForSemanticSegmentation.from_pretrained(str(model))
            settings, _ = ImageProcessingMixin.get_image_processor_dict(str(model))
        except (OSError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            raise ValueError(f"{model}: not a semantic segmentation model ({reason})") from None
        self.name = str(model)
        self._prepare = Preparation.read(model, settings)
        self._network = network.to(device).eval()
        self._device = device
        names = [network.config.id2label[index] for index in range(len(network.config.id2label))]
        self._classes, self._table = label_space.classes, class_table(names, label_space)
        self.predicts = tuple(sorted(set(self._table.tolist()) - {label_space.classes}))

    @property
    def identity(self) -> str:
        """A hash of what the answers depend on beside the name: weights, preparation, classes, table."""
        choices = (*self._prepare.choices, self._classes, self._table.tolist())
        digest = hashlib.sha256(repr(choices).encode())
        hash_weights(digest, self._network)
        return digest.hexdigest()[:16]

    @torch.inference_mode()
    def __call__(self, photos: np.ndarray, /) -> np.ndarray:
        logits = self._network(pixel_values=self._prepare(photos).to(self._device)).logits
        predicted = F.interpolate(logits, photos.shape[1:3], mode="bilinear").argmax(1)
        return self._table[predicted.cpu().numpy()]


def _target(size: tuple[int, ...], wanted: dict[str, Any]) -> tuple[int, ...]:
    """The (height, width) that a preprocessor's "size" asks for, for an image of `size`."""
    if "height" in wanted:
        return wanted["height"], wanted["width"]
    if "shortest_edge" in wanted:
        scale = wanted["shortest_edge"] / min(size)
        return round(size[0] * scale), round(size[1] * scale)
    return size


def _plain(name: str) -> str:
    return re.split("[,;]", name)[0].replace("_", " ").strip().lower()
