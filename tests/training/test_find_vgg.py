"""VGG is found, or told missing, before anything that takes time; one process of a host downloads it."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tiny_data import TINY, write_data

from ccfpse.features import MissingWeights
from ccfpse.presets import resolve
from ccfpse.training import loop
from ccfpse.training.config import LossSettings
from ccfpse.training.distributed import World


@dataclass(frozen=True)
class Watched(World):
    """Notes when it waits for the others."""

    events: list[str] = field(default_factory=list)

    def wait(self) -> None:
        self.events.append("met the others")


@pytest.mark.parametrize(
    ("local_rank", "order"),
    [(0, ["looked", "met the others"]), (1, ["met the others", "looked"])],
)
def test_the_others_wait_for_the_download(
    local_rank: int, order: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = Watched(rank=2, size=4, local_rank=local_rank)
    monkeypatch.setattr(loop, "find_weights", lambda name, path: world.events.append("looked"))
    loop.find_vgg(LossSettings(), world)
    assert world.events == order
    loop.find_vgg(LossSettings(perceptual=0.0), world)
    assert world.events == order  # nothing to find, nothing to wait for


def test_missing_weights_are_told_before_the_files_are_looked_at(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data")
    file = data / "train" / "labels" / "5.png"
    file.write_bytes(file.read_bytes()[:-30])
    settings = resolve("facades", None, TINY | {"loss.perceptual": "1", "loss.vgg": str(tmp_path / "absent")})
    with pytest.raises(MissingWeights, match=r"absent: no such file .* vgg19 weights.*--loss\.perceptual=0"):
        loop.train(data, tmp_path / "run", settings)
