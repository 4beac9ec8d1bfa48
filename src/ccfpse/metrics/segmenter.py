"""A small segmentation network of our own, for data sets that have no public one.

It is trained on the real training split and run on generated photos: what it recognises there is what the
generator drew where the layout asked for it. Its score on real validation photos is the ceiling. A few
hundred photos do not teach what things look like, so it also reads the frozen AlexNet that LPIPS uses.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import rich.progress
import torch
from rich.console import Console
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from ccfpse.features import cache_folder
from ccfpse.labels import LabelSpace
from ccfpse.metrics.hashes import hash_weights
from ccfpse.metrics.inputs import Pair, Pairs, data_hash
from ccfpse.metrics.lpips import Lpips, load_lpips
from ccfpse.pictures import to_tensor

FORMAT = "ccfpse segmenter 1"


@dataclass(frozen=True)
class SegmenterTraining:
    """How the network is trained; all of it is part of the cached file's name."""

    images: int = 16_000
    batch: int = 8
    width: int = 16
    learning_rate: float = 3e-3
    seed: int = 0


def _conv(channels: int, width: int, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(channels, width, 3, stride, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(width), nn.ReLU(inplace=True))


class SmallUNet(nn.Module):
    """Image N×3×H×W float in [-1, 1] and its AlexNet features to logits N×C×H×W; any size.

    Five levels, halved from one to the next, decoded by sums; the features join the levels of their stride.
    """

    tapped = ((64, 0), (192, 1), (384, 2), (256, 2), (256, 2))  # of AlexNet: channels, level they join

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        widths = [width, 2 * width, 4 * width, 6 * width, 6 * width]
        self.stem = _conv(3, width, stride=2)
        self.down = nn.ModuleList(
            nn.Sequential(_conv(a, b, stride=2), _conv(b, b)) for a, b in pairwise(widths)
        )
        self.joining = nn.ModuleList(nn.Conv2d(count, widths[level + 1], 1) for count, level in self.tapped)
        self.lateral = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairwise(widths))
        self.up = nn.ModuleList(_conv(a, a) for a in widths[:-1])
        self.head = nn.Conv2d(width, classes, 3, padding=1)

    def forward(self, image: Tensor, features: Sequence[Tensor]) -> Tensor:
        levels = [self.stem(image)]
        for position, down in enumerate(self.down):
            x = down(levels[-1])
            for (count, level), joining, feature in zip(self.tapped, self.joining, features, strict=True):
                if level == position:  # LPIPS's features have length 1 at every pixel
                    x = x + F.interpolate(joining(feature * count**0.5), x.shape[2:], mode="bilinear")
            levels.append(x)
        x = levels.pop()
        for lateral, up in zip(reversed(self.lateral), reversed(self.up), strict=True):
            level = levels.pop()
            x = up(level + F.interpolate(lateral(x), level.shape[2:], mode="bilinear"))
        return F.interpolate(self.head(x), image.shape[2:], mode="bilinear")


class SmallSegmenter:
    """The trained network as a `Segmenter`: photos N×H×W×3 uint8 to class ids N×H×W int64."""

    def __init__(self, network: SmallUNet, lpips: Lpips, classes: int, name: str) -> None:
        self.network = network.eval()
        self.lpips = lpips
        self.name = name
        self.predicts = tuple(range(classes))

    @property
    def identity(self) -> str:
        """A hash of the weights: trained anew under the same name, on another machine, they are others."""
        digest = hashlib.sha256()
        hash_weights(digest, self.network)
        return digest.hexdigest()[:16]

    @torch.inference_mode()
    def __call__(self, photos: np.ndarray, /) -> np.ndarray:
        device = next(self.network.parameters()).device
        images = to_tensor(photos).to(device)
        return self.network(images, self.lpips.features(images)).argmax(1).cpu().numpy()

    def save(self, path: Path, training: SegmenterTraining) -> None:
        """One `.safetensors` file, moved into place when it is complete."""
        metadata = {"format": FORMAT, "name": self.name, "classes": str(len(self.predicts))}
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + ".part")
        save_file(
            {key: value.cpu().contiguous() for key, value in self.network.state_dict().items()},
            part,
            metadata | {"training": json.dumps(asdict(training))},
        )
        part.replace(path)

    @classmethod
    def load(cls, path: str | Path, device: str = "cpu", weights: Path | None = None) -> "SmallSegmenter":
        """A saved segmenter; ValueError for any other file. weights: as in `load_lpips`."""
        try:
            with safe_open(path, "pt") as file:
                metadata = file.metadata() or {}
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
        except SafetensorError as error:
            raise ValueError(f"{path}: not a readable safetensors file ({error})") from None
        if metadata.get("format") != FORMAT:
            raise ValueError(f"{path}: not a segmenter made by `ccfpse train-segmenter`")
        classes = int(metadata["classes"])
        network = SmallUNet(classes, json.loads(metadata["training"])["width"])
        network.load_state_dict(tensors)
        return cls(network.to(device), load_lpips(weights).to(device), classes, metadata["name"])


def cached_segmenter(
    pairs: Pairs,
    label_space: LabelSpace,
    training: SegmenterTraining | None = None,
    *,
    folder: Path | None = None,
    device: str = "cpu",
    weights: Path | None = None,
    progress: bool = True,
) -> SmallSegmenter:
    """The segmenter of a training split: from the cache when this data was seen before, else trained now.

    Its name, and its file in `folder` (default: segmenters/ in the cache folder), hold the hash of the data
    and of how it was trained. weights: folder of the public weights.
    """
    training = training or SegmenterTraining()
    size = "x".join(map(str, pairs.sample(0).labels.shape))
    choices = "-".join(str(value) for value in asdict(training).values())
    name = f"small-unet-{data_hash(pairs, label_space)}-{size}-{choices}"
    path = segmenter_file(name, folder)
    if not path.is_file():
        if progress:
            how = f"{training.images:,} images at {size.replace('x', '×')} (H×W)"
            what = f"no segmenter of this training split yet: training one, once, on {how}"
            Console(stderr=True).print(what, highlight=False)
        lpips = load_lpips(weights).to(device)
        train_segmenter(
            pairs, label_space, training, lpips, name=name, device=device, progress=progress
        ).save(path, training)
    return SmallSegmenter.load(path, device, weights)


def segmenter_file(name: str, folder: Path | None = None) -> Path:
    """Where `cached_segmenter` keeps the network of this name."""
    return (folder or cache_folder() / "segmenters") / f"{name}.safetensors"


def train_segmenter(
    pairs: Pairs,
    label_space: LabelSpace,
    training: SegmenterTraining,
    lpips: Lpips,
    *,
    name: str = "small-unet",
    device: str = "cpu",
    progress: bool = True,
) -> SmallSegmenter:
    """Trains the network on pairs of one size; unlabelled pixels take no part.

    Cross-entropy, classes weighted by one over the root of their share (mIoU counts rare classes as much as
    frequent ones); AdamW with one learning-rate cycle; flips, zooms and changes of brightness and contrast.
    """
    generator = torch.Generator().manual_seed(training.seed)
    with torch.random.fork_rng([]):
        torch.manual_seed(training.seed)
        network = SmallUNet(label_space.classes, training.width)
    network.to(device).train()
    weights = _class_weights(pairs, label_space.classes).to(device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=training.learning_rate, weight_decay=1e-2)
    steps = max(training.images // training.batch, 1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, training.learning_rate, total_steps=steps)
    order = torch.randint(len(pairs), (steps, training.batch), generator=generator)

    bar = rich.progress.Progress(transient=True, console=Console(stderr=True), disable=not progress)
    with ThreadPoolExecutor(4) as pool, bar:
        task = bar.add_task("training the segmenter", total=steps)
        load = _remembered(pairs)
        upcoming = [pool.submit(load, int(index)) for index in order[0]]
        for step in range(steps):
            batch = [future.result() for future in upcoming]
            if step + 1 < steps:
                upcoming = [pool.submit(load, int(index)) for index in order[step + 1]]
            images, labels = _augment(*_stack(batch), generator)
            images = images.to(device)
            with torch.no_grad():
                features = lpips.features(images)
            logits = network(images, features)
            loss = F.cross_entropy(logits, labels.to(device), weights, ignore_index=label_space.classes)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            bar.update(task, advance=1, description=f"training the segmenter, loss {loss.item():.2f}")
    return SmallSegmenter(network, lpips, label_space.classes, name)


def _remembered(pairs: Pairs, limit_bytes: int = 1 << 30) -> Callable[[int], Pair]:
    """`pairs.sample`, keeping pairs once read up to a limit: decoding costs as much as a training step."""
    first = pairs.sample(0)
    limit = limit_bytes // (first.photo.nbytes + first.labels.nbytes)
    read: dict[int, Pair] = {}

    def load(index: int) -> Pair:
        pair = read.get(index) or pairs.sample(index)
        if len(read) < limit:
            read[index] = pair
        return pair

    return load


def _stack(batch: list[Pair]) -> tuple[Tensor, Tensor]:
    labels = torch.from_numpy(np.stack([pair.labels for pair in batch]).astype(np.int64))
    return to_tensor(np.stack([pair.photo for pair in batch])), labels


def _augment(images: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """One zoom for the batch (a window of 60 … 100 % of the sides), flip, and light for each image."""
    count, _, height, width = images.shape
    zoom, top, left = torch.rand(3, generator=generator).tolist()
    h, w = round(height * (0.6 + 0.4 * zoom)), round(width * (0.6 + 0.4 * zoom))
    y, x = int(top * (height - h + 1)), int(left * (width - w + 1))
    images, labels = images[:, :, y : y + h, x : x + w], labels[:, None, y : y + h, x : x + w]
    images = F.interpolate(images, (height, width), mode="bilinear")
    labels = F.interpolate(labels.float(), (height, width), mode="nearest-exact").long()[:, 0]
    flip = torch.rand(count, generator=generator) < 0.5
    images, labels = images.clone(), labels.clone()
    images[flip], labels[flip] = images[flip].flip(-1), labels[flip].flip(-1)
    light = torch.rand(2, count, 1, 1, 1, generator=generator)
    return images * (0.7 + 0.6 * light[0]) + (light[1] - 0.5) * 0.6, labels


def _class_weights(pairs: Pairs, classes: int, samples: int = 256) -> Tensor:
    """One over the root of each class's share in a spread of samples; the mean over present classes is 1."""
    counts = np.zeros(classes)
    for index in np.unique(np.linspace(0, len(pairs) - 1, samples).astype(int)):
        labels = pairs.sample(int(index)).labels
        counts += np.bincount(labels[labels < classes].ravel(), minlength=classes)
    present = counts > 0
    if not present.any():
        raise ValueError("the training split has no labelled pixel; nothing can be learnt from it")
    weights = np.zeros(classes)
    weights[present] = np.sqrt(counts.sum() / counts[present])
    return torch.tensor(weights / weights[present].mean(), dtype=torch.float32)
