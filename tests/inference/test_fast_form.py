"""The fast form draws what the plain generator draws; its parts against the layers they replace."""

from collections.abc import Callable, Iterator
from functools import cache

import pytest
import torch
import torch.nn.functional as F

from ccfpse import ops
from ccfpse.checkpoint import Model
from ccfpse.engine import Engine
from ccfpse.inference import FastGenerator, Place, Stopwatch, fast_form, generator, predict
from ccfpse.inference.block import tap_major
from ccfpse.inference.lookup import Codes, LabelTable
from ccfpse.labels import LabelSpace
from ccfpse.model_files import BUNDLED, bundled_models
from ccfpse.models import (
    GeneratorConfig,
    Pix2PixConfig,
    SpadeConfig,
    build_generator,
    instance_edges,
    semantic_map,
)
from ccfpse.models.coarse_to_fine import CoarseToFineConfig, CoarseToFineGenerator
from ccfpse.models.layers import initialise
from ccfpse.ops import cond_conv
from ccfpse.ops.strip import cond_conv_strip
from ccfpse.pictures import to_uint8

CPU = torch.device("cpu")
FLOAT = Place(CPU, torch.float32)
TINY = {"classes": 3, "size": (64, 64), "width": 2, "style_dim": 8, "predictor_width": 4}


@pytest.fixture(autouse=True)
def plain_by_the_equations() -> Iterator[None]:
    """The plain generator looks nothing up and uses no strips."""
    with ops.use_backend("reference"):
        yield


def cc(**values: object) -> GeneratorConfig:
    return GeneratorConfig(**(TINY | values))  # type: ignore[arg-type]


def spade(**values: object) -> SpadeConfig:
    return SpadeConfig(**(TINY | values))  # type: ignore[arg-type]


VARIANTS: dict[str, CoarseToFineConfig] = {
    "cc": cc(),
    "cc, deep": cc(upsamplings=6),
    "cc without style": cc(style_dim=0),
    "cc, 1×1 predictors": cc(predictor_kernel=1),
    "cc, instances": cc(instances=True),
    "cc without gates": cc(gates=False),
    "cc, deepest": cc(upsamplings=7, size=(128, 128)),
    "cc, batch renormalisation": cc(norm="batch_renorm"),
    "cc without unknown channel and style": cc(unknown=False, style_dim=0, instances=True),
    "cc without pyramid": cc(layout_pyramid=False),
    "cc without pyramid and gates": cc(layout_pyramid=False, gates=False, instances=True),
    "spade": spade(),
    "spade, deep, without style": spade(upsamplings=6, style_dim=0),
    "spade, deepest": spade(upsamplings=7, size=(128, 128)),
    "spade, pyramid": spade(layout_pyramid=True, norm="batch_renorm"),
    "spade, 1×1 predictors": spade(predictor_kernel=1, instances=True),
    "spade without unknown channel and style": spade(unknown=False, style_dim=0, instances=True),
}


@cache
def trained(variant: str) -> CoarseToFineGenerator:
    """Random weights whose statistics and spectral norms have seen images: values are of order 1."""
    torch.manual_seed(1)
    plain = build_generator(VARIANTS[variant])
    assert isinstance(plain, CoarseToFineGenerator)
    initialise(plain, gain=1.0)
    for bias in (value for name, value in plain.named_parameters() if name.endswith("bias")):
        torch.nn.init.normal_(bias, std=0.1)
    labels, instances = layout(*plain.config.size)
    with torch.no_grad():
        for _ in range(6):
            z = torch.randn(2, 8) if plain.config.style_dim else None
            plain.train()(semantic(plain, labels, instances).expand(2, -1, -1, -1), z)
    return plain.eval()


def layout(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise of all classes with unlabelled pixels (id 3), and instances that do not follow them."""
    return torch.randint(0, 4, (height, width)), torch.randint(0, 2, (height, width))


def semantic(plain: CoarseToFineGenerator, labels: torch.Tensor, instances: torch.Tensor) -> torch.Tensor:
    config = plain.config
    edges = instances[None] if config.instances else None
    return semantic_map(labels[None], config.classes, unknown=config.unknown, instances=edges)


def draw(
    fast: FastGenerator,
    labels: torch.Tensor,
    instances: torch.Tensor,
    z: torch.Tensor | None,
    keep_bytes: int = 0,
) -> torch.Tensor:
    edges = instance_edges(instances[None])[0] if fast.config.instances else None
    watch = Stopwatch(CPU)
    return fast.paint(fast.plan(labels, edges, keep_bytes=keep_bytes, watch=watch), z, watch=watch)


def fold(plain: CoarseToFineGenerator, place: Place = FLOAT) -> FastGenerator:
    fast = fast_form(plain, place)
    assert isinstance(fast, FastGenerator)
    return fast


@torch.inference_mode()
@pytest.mark.parametrize("variant", VARIANTS)
def test_equals_the_plain_generator(monkeypatch: pytest.MonkeyPatch, variant: str) -> None:
    monkeypatch.setattr(predict, "STRIP_BYTES", {"cpu": 1})
    monkeypatch.setattr(predict, "LEAST_ROWS", 5)  # strips begin and end between upsampled pairs of rows
    plain = trained(variant)
    fast = fold(plain)
    labels, instances = layout(2 * plain.config.size_multiple, plain.config.size_multiple)
    z = torch.randn(3, 8) if plain.config.style_dim else None
    maps = semantic(plain, labels, instances)
    expected = plain(maps if z is None else maps.expand(3, -1, -1, -1), z)
    assert expected.std() > 0.05
    for keep_bytes in (0, 30_000, 10**9):  # nothing, the coarse blocks, everything
        found = draw(fast, labels, instances, z, keep_bytes)
        assert (found - expected).abs().max() <= 1e-4, keep_bytes


@torch.inference_mode()
@pytest.mark.parametrize("size", [(64, 64), (32, 96), (192, 64)])  # the trained one, odd multiples, larger
@pytest.mark.parametrize("variant", ["cc", "cc without pyramid", "spade", "spade, pyramid"])
def test_sizes_and_the_prior_mean(variant: str, size: tuple[int, int]) -> None:
    plain, (labels, instances) = trained(variant), layout(*size)
    maps = semantic(plain, labels, instances)
    expected = [plain(maps, z) for z in (torch.ones(1, 8), None)]
    assert (expected[0] - expected[1]).abs().max() > 0.05
    found = [draw(fold(plain), labels, instances, z) for z in (torch.ones(1, 8), None)]
    for one, other in zip(found, expected, strict=True):
        assert (one - other).abs().max() <= 1e-4


# A style holds 4 channels at 32² and twice 2 at 64² in float32, SPADE the 4 modulated ones at 64² as well.
@torch.inference_mode()
@pytest.mark.parametrize(
    ("variant", "style_bytes"),
    [("cc", 4 * (4 * 32**2 + 4 * 64**2)), ("spade", 4 * (4 * 32**2 + 6 * 64**2))],
)
def test_many_styles_in_groups_equal_single_ones(
    monkeypatch: pytest.MonkeyPatch, variant: str, style_bytes: int
) -> None:
    fast, (labels, instances) = fold(trained(variant)), layout(64, 64)
    z = torch.randn(5, 8)
    singles = torch.cat([draw(fast, labels, instances, one[None]) for one in z])
    monkeypatch.setattr(generator, "STYLE_BYTES", 2 * style_bytes)  # two of them fit: groups of 2, 2, 1
    assert fast._styles_at_once((64, 64)) == 2
    assert (draw(fast, labels, instances, z) - singles).abs().max() <= 1e-5


@torch.inference_mode()
@pytest.mark.parametrize("variant", ["cc, 1×1 predictors", "cc without pyramid", "spade", "spade, pyramid"])
def test_a_kept_plan_draws_the_same_bits_again(variant: str) -> None:
    fast, (labels, instances) = fold(trained(variant)), layout(64, 64)
    edges = instance_edges(instances[None])[0] if fast.config.instances else None
    z, watch = torch.randn(2, 8), Stopwatch(CPU)
    plan = fast.plan(labels, edges, keep_bytes=10**9, watch=watch)
    first = fast.paint(plan, z, watch=watch)
    assert torch.equal(fast.paint(plan, z, watch=watch), first)
    assert torch.equal(draw(fast, labels, instances, z, keep_bytes=0), first)


# Kept per pixel of a block: CC's kernels (nine times the inputs and the middle), gates and the shortcut's two
# maps; SPADE's two maps of each norm. Of a level predictors read bordered codes and the pyramid's features.
@torch.inference_mode()
@pytest.mark.parametrize(
    ("variant", "channels", "features"),
    [
        ("cc", lambda fin, fout: 9 * fin + fout + 9 * fout + fout + (2 * fin if fin != fout else 0), 2),
        ("spade", lambda fin, fout: 2 * fin + 2 * fout + (2 * fin if fin != fout else 0), 0),
    ],
)
def test_plans_keep_as_much_as_they_may(
    variant: str, channels: Callable[[int, int], int], features: int
) -> None:
    fast, (labels, _) = fold(trained(variant)), layout(64, 64)
    sizes = [
        fast.plan(labels, None, keep_bytes=limit, watch=Stopwatch(CPU)).nbytes for limit in (0, 60_000, 10**9)
    ]
    blocks = [(32, 32, 2), (32, 32, 4), (32, 32, 4), (32, 16, 8), (16, 8, 16), (8, 4, 32), (4, 2, 64)]
    assert sizes[2] == sum(4 * side**2 * channels(fin, fout) for fin, fout, side in blocks)
    read = sum(4 * (features * side**2 + (side + 2) ** 2) for side in (2, 4, 8, 16, 32, 64))
    assert sizes[0] == read
    assert read < sizes[1] < read + 60_000


@torch.inference_mode()
@pytest.mark.parametrize("variant", ["cc", "spade"])
def test_folding_shares_nothing_with_the_generator(variant: str) -> None:
    plain = trained(variant)
    copy = build_generator(plain.config).eval()
    copy.load_state_dict(plain.state_dict())
    fast, (labels, instances) = fold(copy), layout(64, 64)
    z = torch.randn(1, 8)
    before = draw(fast, labels, instances, z)
    for value in (*copy.parameters(), *copy.buffers()):
        value.zero_()
    assert torch.equal(draw(fast, labels, instances, z), before)


@torch.inference_mode()
@pytest.mark.parametrize("variant", ["cc", "cc without pyramid", "spade", "spade, pyramid"])
def test_bfloat16_is_close_on_random_weights(variant: str) -> None:
    plain, (labels, instances) = trained(variant), layout(64, 64)
    z = torch.randn(2, 8)
    found = draw(fold(plain, Place(CPU, torch.bfloat16)), labels, instances, z)
    expected = plain(semantic(plain, labels, instances).expand(2, -1, -1, -1), z)
    assert found.dtype == torch.bfloat16
    assert (found.float() - expected).abs().mean() <= 0.02 < 0.1 < expected.std()


@torch.inference_mode()
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_on_trained_weights(dtype: torch.dtype) -> None:
    if "facades" not in bundled_models():
        pytest.skip("no trained model is bundled yet (facades.safetensors)")
    model = Model.load(str(BUNDLED / "facades.safetensors"))
    plain = model.generator
    assert isinstance(plain, CoarseToFineGenerator)
    height, width = plain.config.size
    blocks = torch.randint(0, plain.config.classes, (height // 16, width // 16))
    labels = blocks.repeat_interleave(16, 0).repeat_interleave(16, 1)
    z = torch.randn(1, plain.config.style_dim) if plain.config.style_dim else None
    found = draw(fold(plain, Place(CPU, dtype)), labels, labels, z)
    difference = (found.float() - plain(semantic(plain, labels, labels), z)).abs()
    assert difference.max() <= 1e-4 if dtype == torch.float32 else difference.mean() <= 0.01
    assert to_uint8(found).std() > 10


@pytest.mark.parametrize("unknown", [False, True])
@pytest.mark.parametrize("instances", [False, True])
def test_a_look_up_is_the_convolution_of_the_semantic_map(unknown: bool, instances: bool) -> None:
    labels, ids = layout(6, 5)
    edges = instance_edges(ids[None])[0] if instances else None
    maps = semantic_map(labels[None], 3, unknown=unknown, instances=ids[None] if instances else None)
    weight = torch.randn(7, maps.shape[1], 3, 3)
    table = LabelTable.of(weight, FLOAT, channels=3 + unknown)
    codes = Codes.at(labels, edges, (6, 5), 3 + unknown)
    expected = F.conv2d(maps, weight, padding=1)
    torch.testing.assert_close(table(codes, 0, 6), expected)
    torch.testing.assert_close(table(codes, 2, 5), expected[:, :, 2:5])


@pytest.mark.parametrize("size", [(1, 1), (3, 4), (5, 2)])
def test_a_strip_is_the_conditional_convolution(size: tuple[int, int]) -> None:
    x, weight = torch.randn(2, 3, *size), torch.randn(1, 27, *size)
    kernels = tap_major(weight[0])[None].contiguous(memory_format=torch.channels_last)
    found = cond_conv_strip(F.pad(x, (1, 1, 1, 1)), kernels)
    torch.testing.assert_close(found, cond_conv(x, weight, backend="reference"))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@torch.inference_mode()
@pytest.mark.parametrize("variant", ["cc, instances", "spade, 1×1 predictors"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_on_a_gpu(variant: str, dtype: torch.dtype) -> None:
    plain, (labels, instances) = trained(variant), layout(64, 96)
    z = torch.randn(3, 8)
    expected = plain(semantic(plain, labels, instances).expand(3, -1, -1, -1), z)
    found = draw(fold(plain, Place(torch.device("cuda"), dtype)), labels, instances, z).float().cpu()
    assert (found - expected).abs().mean() <= (1e-3 if dtype == torch.float32 else 0.02)  # TF32


def test_an_engine_draws_spade_by_its_fast_form(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, (labels, _) = trained("spade"), layout(64, 96)
    model = Model(plain, None, LabelSpace(("a", "b", "c"), ((0, 0, 0), (1, 1, 1), (2, 2, 2)), ignore=3))
    slow = Engine(model, "spade", CPU, torch.float32, fast=False)
    engine = Engine(model, "spade", CPU, torch.float32)
    monkeypatch.setattr(plain, "forward", None)  # the fast form needs it no more
    first = engine.generate(labels.numpy(), count=3)
    again = engine.generate(labels.numpy(), count=3)
    assert engine.timings.cached_layouts == 1
    assert (first == again).all()
    monkeypatch.undo()
    expected = slow.generate(labels.numpy(), count=3)
    assert abs(first.astype(int) - expected).max() <= 1


def test_other_kinds_have_no_fast_form() -> None:
    assert fast_form(torch.nn.Identity(), FLOAT) is None
    config = Pix2PixConfig(3, size=(64, 64), halvings=6, width=2)
    assert fast_form(build_generator(config), FLOAT) is None
