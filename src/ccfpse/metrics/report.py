"""The result of an evaluation: scores with everything needed to judge and to repeat them."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from ccfpse.metrics.protocol import Protocol

FORMAT = "ccfpse report 1"

# key, heading, decimals, which way is better
SCORES = (
    ("fid", "FID", 1, "lower"),
    ("kid", "KID ×1000", 2, "lower"),
    ("lpips_diversity", "LPIPS diversity", 3, "higher"),
    ("lpips_to_real", "LPIPS to real", 3, "lower"),
    ("mean_iou", "mIoU %", 1, "higher"),
    ("accuracy_labelled", "accuracy % (labelled pixels)", 1, "higher"),
    ("accuracy_all", "accuracy % (all pixels)", 1, "higher"),
)
FACTORS = {"kid": 1000.0, "mean_iou": 100.0, "accuracy_labelled": 100.0, "accuracy_all": 100.0}


@dataclass(frozen=True)
class Report:
    """What was measured on which images under which protocol; a score that was not measured is None.

    scores: fid, kid, kid_standard_error, lpips_diversity, lpips_to_real, mean_iou, accuracy (the headline
    that the protocol chooses), accuracy_labelled, accuracy_all. ceiling: the segmenter's scores on the real
    photos. floor: fid, kid, kid_standard_error of one half of the real photos against the other, and
    `images`, the size of the smaller half. class_iou: name to (generated, real). Shares are 0 … 1, KID is
    not multiplied by 1000.
    """

    name: str
    source: str
    protocol: Protocol
    images: int
    data_hash: str
    scores: dict[str, float | None]
    ceiling: dict[str, float | None]
    floor: dict[str, float | None]
    class_iou: dict[str, tuple[float | None, float | None]]
    warnings: tuple[str, ...]
    versions: dict[str, str]
    seconds: float

    def save(self, path: Path) -> None:
        """Writes JSON, moved into place when it is complete."""
        part = path.with_name(path.name + ".part")
        part.write_text(
            json.dumps({"format": FORMAT} | asdict(self), indent=2, ensure_ascii=False) + "\n", "utf-8"
        )
        part.replace(path)

    @classmethod
    def load(cls, path: str | Path) -> "Report":
        """A saved report; ValueError, naming the file, for anything else."""
        try:
            content: dict[str, Any] = json.loads(Path(path).read_text("utf-8"))
            if content.pop("format") != FORMAT:
                raise KeyError("format")
            content["protocol"] = Protocol.from_dict(content["protocol"])
            content["warnings"] = tuple(content["warnings"])
            content["class_iou"] = {name: tuple(pair) for name, pair in content["class_iou"].items()}
            return cls(**content)
        except OSError as error:
            raise ValueError(f"{path}: cannot be read ({error.strerror or error})") from None
        except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError):
            raise ValueError(f"{path}: not a report written by `ccfpse evaluate`") from None

    def differences(self, other: "Report") -> list[str]:
        """One sentence part for each thing that keeps the two from comparing; empty where they compare."""
        found = self.protocol.differences(other.protocol)
        if self.data_hash != other.data_hash:
            found.append(f"real photos: {self.data_hash} and {other.data_hash}")
        mine, theirs = self.versions.get("networks"), other.versions.get("networks")
        if mine and theirs and mine != theirs:  # early reports do not tell
            found.append(f"measuring networks (Inception, LPIPS, segmenter): {mine} and {theirs}")
        return found

    def table(self) -> Table:
        """Scores beside the floor (real against real) and the ceiling (the segmenter on real photos)."""
        table = Table(
            "",
            "score",
            "real photos",
            title=f"{self.name}: {self.images} images",
            title_justify="left",
            caption=f"Protocol: {self.protocol}",
            caption_justify="left",
        )
        for key, heading, decimals, better in SCORES:
            real = self.floor if key in ("fid", "kid") else self.ceiling
            bound = shown(real.get(key), key, decimals)
            if key in ("fid", "kid") and real.get("images"):
                bound += f" ({real['images']:.0f} against {real['images']:.0f})"
            error = self.scores.get("kid_standard_error") if key == "kid" else None
            margin = f" ± {shown(error, 'kid', decimals)}" if error is not None else ""
            table.add_row(
                f"{heading} ({better} is better)", shown(self.scores.get(key), key, decimals) + margin, bound
            )
        return table

    def class_table(self) -> Table:
        """IoU of every class, on the generated images and on the real photos; a dash where there is none."""
        table = Table("class", "IoU %", "real photos", title="Layout fidelity", title_justify="left")
        for name, pair in self.class_iou.items():
            table.add_row(name, *(shown(value, "mean_iou", 1) for value in pair))
        return table


def shown(value: float | None, key: str, decimals: int) -> str:
    """A score as it is printed: KID ×1000, shares in per cent, a dash when it was not measured."""
    return "–" if value is None else f"{value * FACTORS.get(key, 1.0):.{decimals}f}"


def compare_reports(paths: Sequence[str | Path]) -> Table:
    """The scores of several saved reports side by side.

    Raises ValueError, naming what differs, unless all were made under one protocol, on the same real photos,
    by the same networks.
    """
    if len(paths) < 2:
        raise ValueError(f"a comparison needs two reports at least, got {len(paths)}")
    reports = [Report.load(path) for path in paths]
    for path, report in zip(paths[1:], reports[1:], strict=True):
        if differences := reports[0].differences(report):
            raise ValueError(
                f"{paths[0]} and {path} do not compare, for they differ in {'; '.join(differences)};"
                " evaluate both with the same choices"
            )
    table = Table("", *(report.name for report in reports))
    for key, heading, decimals, better in SCORES:
        values = [report.scores.get(key) for report in reports]
        known = [value for value in values if value is not None and not math.isnan(value)]
        best = (min if better == "lower" else max)(known, default=None)
        cells = [
            f"[bold]{shown(value, key, decimals)}[/bold]"
            if value is not None and value == best
            else shown(value, key, decimals)
            for value in values
        ]
        table.add_row(f"{heading} ({better} is better)", *cells)
    return table
