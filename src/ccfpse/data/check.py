"""Every fault of a data set before training meets it, and what the set holds."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ccfpse.data.contact_sheet import Thumbnail, contact_sheet, share_text, thumbnail
from ccfpse.data.dataset import PairedDataset
from ccfpse.data.layouts import find_layout, left_out, open_splits
from ccfpse.data.occurrence import doubtful, meaningless, never
from ccfpse.data.pairing import Fault
from ccfpse.data.parallel import mapped
from ccfpse.data.sample import CorruptSample
from ccfpse.labels import LabelSpace


@dataclass
class Report:
    """What `check_dataset` found.

    photos: how many, by split. sizes: (H, W) -> how many photos. pixels, holders: per channel of the label
    space, how many pixels it has and how many photos it occurs in. faults must be cured before training;
    notes need not.
    """

    root: str
    layout: str
    label_space: LabelSpace
    photos: dict[str, int] = field(default_factory=dict)
    sizes: Counter[tuple[int, ...]] = field(default_factory=Counter)
    has_instances: bool = False
    pixels: np.ndarray = field(default_factory=lambda: np.zeros(0))
    holders: np.ndarray = field(default_factory=lambda: np.zeros(0))
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    thumbnails: list[Thumbnail] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Whether nothing stands in the way of training."""
        return not self.faults

    @property
    def shares(self) -> np.ndarray:
        """Each channel's share of all pixels, 0..1; the last is "no class" where the space has `ignore`."""
        return self.pixels / max(self.pixels.sum(), 1)

    @property
    def unlabelled_share(self) -> float:
        """The share of pixels without a class, 0..1."""
        return float(self.shares[-1]) if self.label_space.unknown else 0.0

    def summary(self) -> str:
        """Counts and sizes in one line."""
        counts = ", ".join(f"{count} {split}" for split, count in self.photos.items())
        shapes = sorted(self.sizes)
        if len(shapes) == 1:
            sizes = f"all {shapes[0][0]}×{shapes[0][1]}"
        elif shapes:
            heights, widths = zip(*shapes, strict=True)
            sizes = f"{min(heights)}–{max(heights)} high, {min(widths)}–{max(widths)} wide"
        else:
            sizes = "none readable"
        instances = "with instances" if self.has_instances else "no instances"
        return f"{counts} · {sizes} · {self.label_space.classes} classes · {instances}"

    def contact_sheet(self) -> Image.Image:
        """A sheet of photos beside their label maps with a legend of class shares, RGB."""
        name = Path(self.root).resolve().name
        return contact_sheet(name, self.summary(), self.thumbnails, self.label_space, self.shares)

    def __rich__(self) -> RenderableType:
        parts: list[RenderableType] = [
            Text(f"{self.root} ({self.layout})", "bold"),
            Text(self.summary()),
            Text(),
            self._table(),
        ]
        if self.notes:
            parts += [Text(), Text("Worth knowing", "bold")]
            parts += [Text(f"  {note}") for note in self.notes]
        parts.append(Text())
        if self.sound:
            parts.append(Text("No faults.", "bold green"))
        else:
            parts.append(Text(f"{len(self.faults)} fault{'s' * (len(self.faults) != 1)}", "bold red"))
        return Group(*parts, *(fault.line() for fault in self.faults))

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False, header_style="dim")
        table.add_column("id", justify="right")
        table.add_column("")
        table.add_column("class")
        table.add_column("share", justify="right")
        table.add_column("photos", justify="right")
        table.add_column("")
        colors = [*self.label_space.colors, (0, 0, 0)]
        names = [*self.label_space.names, "(no class)"]
        ids = [*range(self.label_space.classes), self.label_space.ignore]
        widest = max(self.shares.max(initial=0), 1e-9)
        for channel, share in enumerate(self.shares):
            red, green, blue = colors[channel]
            table.add_row(
                str(ids[channel]),
                Text("  ", f"on #{red:02x}{green:02x}{blue:02x}"),
                Text(names[channel]),
                share_text(share),
                str(self.holders[channel]),
                Text("█" * round(24 * share / widest), "dim"),
            )
        return table


@dataclass
class _Finding:
    """What one sample adds to the report."""

    faults: list[Fault]
    size: tuple[int, ...] | None = None
    pixels: np.ndarray | None = None
    digest: bytes | None = None
    thumbnail: Thumbnail | None = None


def check_dataset(
    root: str | Path,
    *,
    splits: Sequence[str] | None = None,
    workers: int | None = None,
    progress: bool = False,
    shown: int = 12,
) -> Report:
    """Read every file of a data set of any known layout and report what is wrong with it and what it holds.

    splits: which ones (default all). workers: threads (default one per core). shown: pairs on the contact
    sheet. Raises ValueError when `root` is no data set at all or has no usable label space.
    """
    layout = find_layout(root)
    datasets = open_splits(layout, root, splits)
    space = datasets[0].label_space
    report = Report(str(root), datasets[0].layout, space)
    report.pixels = np.zeros(space.channels, dtype=np.int64)
    report.holders = np.zeros(space.channels, dtype=np.int64)
    report.has_instances = any(dataset.has_instances for dataset in datasets)
    first_of: dict[bytes, str] = {}
    for dataset in datasets:
        if note := left_out(dataset):
            report.notes.append(note)
            continue
        report.photos[dataset.split] = len(dataset)
        report.faults += dataset.faults
        before = report.pixels.copy()
        with dataset.comparing_files():
            _examine(dataset, report, first_of, workers, progress, shown if dataset is datasets[0] else 0)
        if dataset.split == "train" and (fault := meaningless("train", space, report.pixels > before)):
            report.faults.append(fault)
        report.notes += dataset.notes()
    if "train" not in layout.splits(root):
        report.faults.append(Fault("train", "no such split", "training needs it; name a split so"))
    _compare_instances(datasets, report)
    if "val" not in report.photos:
        report.notes.append(
            "no split val: sample grids show training photos, and `ccfpse evaluate` lacks photos"
        )
    if note := doubtful(space, report.holders > 0):
        report.notes.append(note)
    if report.holders.any() and (unused := never(space, report.holders > 0)):
        report.notes.append(f"classes that never occur: {', '.join(unused)}")
    return report


def _compare_instances(datasets: Sequence[PairedDataset], report: Report) -> None:
    """Models read instances of both splits or of none, as `train` has them."""
    has = {dataset.split: dataset.has_instances for dataset in datasets if dataset.entries}
    if "val" not in has or has.get("train", has["val"]) == has["val"]:
        return
    if has["val"]:
        report.notes.append("val has instance maps, which no training uses, since train has none")
    else:
        cure = "give both splits instances, or train with --data.instances=false"
        report.faults.append(Fault("val", "has no instance maps, but train has", cure))


def _examine(
    dataset: PairedDataset,
    report: Report,
    first_of: dict[bytes, str],
    workers: int | None,
    progress: bool,
    shown: int,
) -> None:
    """Read all samples of one split into the report; `first_of`: digest of a photo -> its first file."""
    picked = set(np.linspace(0, len(dataset) - 1, min(shown, len(dataset))).round().astype(int).tolist())
    empty: list[str] = []
    twins: list[str] = []
    findings = mapped(
        lambda index: _examine_one(dataset, index, index in picked),
        len(dataset),
        f"checking {dataset.split}",
        workers=workers,
        progress=progress,
    )
    for entry, finding in zip(dataset.entries, findings, strict=True):
        report.faults += finding.faults
        if finding.size is not None:
            report.sizes[finding.size] += 1
        if finding.pixels is not None:
            report.pixels += finding.pixels
            report.holders += finding.pixels > 0
            if dataset.label_space.unknown and not finding.pixels[:-1].any():
                empty.append(entry.labels)
        if finding.digest is not None:
            twin = first_of.setdefault(finding.digest, entry.photo)
            if twin != entry.photo:
                twins.append(f"{entry.photo} = {twin}")
        if finding.thumbnail is not None:
            report.thumbnails.append(finding.thumbnail)
    for what, files in (("label maps without a labelled pixel", empty), ("photos that are copies", twins)):
        if files:
            report.notes.append(f"{len(files)} {what}: {', '.join(files[:5])}{', …' * (len(files) > 5)}")


def _examine_one(dataset: PairedDataset, index: int, show: bool) -> _Finding:
    """All that is wrong with one sample, not only the first fault."""
    entry = dataset.entries[index]
    finding = _Finding([])
    labels = photo = None
    try:
        labels = dataset.read_labels(entry)
        channels = dataset.to_index(entry, labels)
        finding.pixels = np.bincount(channels.ravel(), minlength=dataset.label_space.channels)
    except CorruptSample as error:
        finding.faults.append(dataset.fault(error))
    try:
        photo = dataset.read_photo(entry, None if labels is None else labels.shape)
        finding.size = photo.height, photo.width
        finding.digest = hashlib.blake2b(dataset.content(entry.photo), digest_size=16).digest()
    except CorruptSample as error:
        finding.faults.append(dataset.fault(error))
    try:
        if entry.instances is not None and labels is not None:
            dataset.read_instances(entry, labels.shape)
    except CorruptSample as error:
        finding.faults.append(dataset.fault(error))
    if show and photo is not None and labels is not None and finding.pixels is not None:
        finding.thumbnail = thumbnail(entry.stem, photo, labels, dataset.label_space)
    return finding
