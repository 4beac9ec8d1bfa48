"""One step: parts of a batch, recomputed blocks, bfloat16, and gradients that are not finite."""

import math
from pathlib import Path

import pytest
import torch
from tiny_data import TINY, write_data
from torch import nn

from ccfpse.data import PairedTransform
from ccfpse.data.dataset import PairedDataset
from ccfpse.data.layouts import open_dataset
from ccfpse.models.layers import SpectralConv2d
from ccfpse.presets import resolve
from ccfpse.training import loop
from ccfpse.training.config import TrainConfig
from ccfpse.training.guard import Diverged, gradient_norm
from ccfpse.training.recompute import recompute
from ccfpse.training.state import TrainState
from ccfpse.training.steps import Batch, Networks
from ccfpse.training.stream import to_batch
from ccfpse.training.update import step


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> PairedDataset:
    return open_dataset(write_data(tmp_path_factory.mktemp("data")), "train", PairedTransform((64, 64)))


def config(**changes: str) -> TrainConfig:
    return resolve("facades", None, TINY | {"generator.width": "2"} | changes)


def begun(dataset: PairedDataset, settings: TrainConfig) -> tuple[TrainState, Batch]:
    state = TrainState.start(loop.build(settings, dataset), settings)
    return state, to_batch([dataset.sample(0), dataset.sample(1)], dataset, settings, 0)


def tensors(state: TrainState) -> dict[str, torch.Tensor]:
    return {
        f"{name}.{key}": value.clone()
        for name, network in state.networks.named.items()
        for key, value in network.state_dict().items()
    }


def gradients(state: TrainState) -> list[torch.Tensor]:
    """Of the last step: with beta1 = 0 they are Adam's first moments."""
    return [
        moments["exp_avg"]
        for optimiser in state.optimisers.values()
        for moments in optimiser.state_dict()["state"].values()
    ]


class Plain(nn.Module):
    """Networks without statistics over the batch, whose parts must then add up to the whole."""

    def __init__(self, fin: int, fout: int) -> None:
        super().__init__()
        self.layer = nn.Conv2d(fin, fout, 3, padding=1)


class Painter(Plain):
    def forward(self, semantic: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.layer(semantic) + z[:, :3, None, None])


class Judge(Plain):
    feature_groups = 1

    def forward(self, image: torch.Tensor, semantic: torch.Tensor) -> tuple[list, list]:
        feature = self.layer(torch.cat([image, semantic], 1))
        return [feature.square()[:, :1]], [feature]


class Style(Plain):
    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.layer(image).mean((2, 3)).chunk(2, dim=1)  # type: ignore[return-value]


def test_parts_of_a_batch_add_up_to_the_whole() -> None:
    noise, photo = torch.randn(4, 4), torch.rand(4, 3, 8, 8)
    semantic = torch.rand(4, 2, 8, 8)
    seen = []
    for count in (1, 2):
        torch.manual_seed(1)
        settings = config(batch="4", **{"compute.accumulate": str(count)})
        state = TrainState.start(Networks(Painter(2, 3), Judge(5, 4), Style(3, 8)), settings)
        size = 4 // count
        rows = [slice(at, at + size) for at in range(0, 4, size)]
        losses = step(state, [Batch(photo[r], semantic[r], noise[r]) for r in rows], settings, None)
        seen.append((gradients(state), losses))
    for whole, added in zip(seen[0][0], seen[1][0], strict=True):
        torch.testing.assert_close(added, whole, rtol=1e-4, atol=1e-6)
    assert seen[0][1].keys() == seen[1][1].keys()
    for name, value in seen[0][1].items():
        assert seen[1][1][name].item() == pytest.approx(value.item(), rel=1e-4), name


def test_recomputed_blocks_give_the_same_numbers(dataset: PairedDataset) -> None:
    results, calls = [], []
    for how, times in (("none", 1), ("kernels", 1), ("selective", 2), ("full", 2)):
        settings = config()
        state, batch = begun(dataset, settings)
        block = state.networks.generator.blocks[3]  # type: ignore[union-attr, index]
        block.hidden.register_forward_hook(lambda *_: calls.append(1))  # type: ignore[operator, union-attr]
        recompute(state.networks.generator, how)
        for _ in range(2):
            step(state, [batch], settings, None)
        results.append(tensors(state))
        assert len(calls) == 2 * times
        calls.clear()
    for result in results[1:]:
        assert [name for name, value in results[0].items() if not torch.equal(value, result[name])] == []


def test_checkpointing_needs_blocks() -> None:
    with pytest.raises(ValueError, match=r"needs a generator of blocks.*compute\.checkpointing=none"):
        recompute(nn.Conv2d(1, 1, 1), "full")
    recompute(nn.Conv2d(1, 1, 1), "selective")


def test_bfloat16_keeps_weights_statistics_and_losses_in_float32(dataset: PairedDataset) -> None:
    outcomes = []
    for precision in ("float32", "bfloat16"):
        settings = config(**{"compute.precision": precision})
        state, batch = begun(dataset, settings)
        kinds = []
        layer = state.networks.generator.pyramid.encoder[0][0]  # type: ignore[union-attr, index]
        layer.register_forward_hook(lambda _, __, y, kinds=kinds: kinds.append(y.dtype))  # type: ignore[operator, union-attr]
        losses = step(state, [batch], settings, None)
        assert kinds == [getattr(torch, precision)]
        assert {v.dtype for v in losses.values()} == {torch.float32}
        assert {v.dtype for v in tensors(state).values()} == {torch.float32, torch.int64}
        outcomes.append((losses, tensors(state)))
    (exact, before), (coarse, after) = outcomes
    for name in ("kl", "gan", "feature_matching", "d_fake", "d_real"):
        assert coarse[name].item() == pytest.approx(exact[name].item(), rel=0.05, abs=0.02), name
    norms = [name for name in before if name.endswith("running_mean")]
    assert len(norms) > 10
    for name in norms:
        torch.testing.assert_close(after[name], before[name], rtol=0.05, atol=0.05)
    vectors = [name for name in before if name.startswith("generator") and name.endswith(".u")]
    assert vectors
    for name in vectors:  # one power iteration from the same weights
        torch.testing.assert_close(after[name], before[name], rtol=1e-5, atol=1e-6)


def test_spectral_norm_leaves_autocast() -> None:
    layer, x = SpectralConv2d(8, 8, 3, bias=False).eval(), torch.rand(1, 8, 6, 6)
    with torch.autocast("cpu", torch.bfloat16):
        under = layer(x)
    expected = nn.functional.conv2d(x.bfloat16(), layer.normalised_weight().bfloat16())
    assert torch.equal(under, expected)


def test_a_broken_step_leaves_no_trace(dataset: PairedDataset) -> None:
    settings = config()
    state, batch = begun(dataset, settings)
    step(state, [batch], settings, None)
    before, moments = tensors(state), [g.clone() for g in gradients(state)]
    broken = Batch(torch.full_like(batch.photo, math.inf), batch.semantic, batch.noise)
    step(state, [broken], settings, None)
    assert state.skipped == state.skipped_in_a_row == {"generator": 1, "discriminator": 1}
    assert all(torch.equal(value, before[name]) for name, value in tensors(state).items())
    assert all(torch.equal(a, b) for a, b in zip(gradients(state), moments, strict=True))
    step(state, [batch], settings, None)
    assert state.skipped == {"generator": 1, "discriminator": 1}
    assert state.skipped_in_a_row == {"generator": 0, "discriminator": 0}


def test_ten_broken_steps_end_the_run_with_a_diagnosis(dataset: PairedDataset, tmp_path: Path) -> None:
    class Overflow(nn.Module):
        def forward(self, fake: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
            return fake.mean() * math.inf

    settings = config()
    state, batch = begun(dataset, settings)
    for _ in range(9):
        step(state, [batch], settings, Overflow())
    state.save(tmp_path / "state.safetensors", settings, dataset.label_space)
    resumed, _ = begun(dataset, settings)
    resumed.load(tmp_path / "state.safetensors", dataset.label_space)
    with pytest.raises(Diverged, match=r"the generator's gradients.*perceptual (inf|nan).*--optimiser\.clip"):
        step(resumed, [batch], settings, Overflow())
    assert resumed.skipped == {"generator": 10, "discriminator": 0}


def test_clipping_by_hand() -> None:
    weight = nn.Parameter(torch.zeros(2))
    optimiser = torch.optim.SGD([weight], lr=1.0)
    for clip, expected in ((0.0, [3.0, 4.0]), (10.0, [3.0, 4.0]), (1.0, [0.6, 0.8])):
        weight.grad = torch.tensor([3.0, 4.0])
        assert gradient_norm(optimiser, clip).item() == 5
        torch.testing.assert_close(weight.grad, torch.tensor(expected))
