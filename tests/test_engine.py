"""The engine on a tiny model: shapes, styles, errors; and the files that `generate` writes."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ccfpse import demo
from ccfpse.checkpoint import Model
from ccfpse.engine import Engine
from ccfpse.generate import generate_files
from ccfpse.labels import LabelSpace
from ccfpse.models import (
    Generator,
    GeneratorConfig,
    Pix2PixHDConfig,
    SpadeConfig,
    StyleEncoder,
    StyleEncoderConfig,
    build_generator,
    semantic_map,
)
from ccfpse.models.layers import initialise
from ccfpse.pictures import to_uint8

SPACE = LabelSpace(("wall", "door", "sky"), ((1, 2, 3), (4, 5, 6), (7, 8, 9)))


def tiny_model(style_dim: int = 4, instances: bool = True) -> Model:
    config = GeneratorConfig(
        3, instances=instances, size=(64, 64), width=1, style_dim=style_dim, predictor_width=4
    )
    generator = Generator(config)
    initialise(generator, gain=1.0)  # so that styles and instances are visible
    encoder = (
        StyleEncoder(StyleEncoderConfig(width=2, style_dim=style_dim, input_size=64)) if style_dim else None
    )
    return Model(generator.eval(), encoder and encoder.eval(), SPACE, {"attribution": "nobody"})


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    tiny_model().save(tmp_path / "tiny.safetensors")
    return Engine.load(tmp_path / "tiny.safetensors")


@pytest.fixture
def labels() -> np.ndarray:
    ids = np.zeros((64, 96), np.uint8)
    ids[20:, 30:60] = 1
    ids[:10] = 255
    return ids


def test_equals_the_plain_model(engine: Engine, labels: np.ndarray, tmp_path: Path) -> None:
    style = engine.random_styles(1, seed=5)
    channels = torch.from_numpy(np.where(labels == 255, 3, labels).astype(np.int64))[None]
    semantic = semantic_map(
        channels, 3, unknown=True, instances=torch.from_numpy(labels.astype(np.int64))[None]
    )
    generator = Model.load(tmp_path / "tiny.safetensors").generator
    with torch.no_grad():
        expected = to_uint8(generator(semantic, torch.from_numpy(style)))
    assert np.abs(engine.generate(labels, seed=5).astype(int) - expected).max() <= 1  # rounding
    plain = Engine.load(tmp_path / "tiny.safetensors", fast=False)
    assert np.array_equal(plain.generate(labels, seed=5), expected)


def test_styles(engine: Engine, labels: np.ndarray) -> None:
    eight, three = engine.generate(labels, count=8, seed=1), engine.generate(labels, count=3, seed=1)
    assert eight.shape == (8, 64, 96, 3)
    assert eight.dtype == np.uint8
    assert np.abs(eight[:3].astype(int) - three).max() <= 1
    assert not np.array_equal(eight[0], eight[1])
    photo = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    by_photo = engine.generate(labels, style=photo)
    assert np.array_equal(by_photo, engine.generate(labels, style=engine.encode_style(photo)))
    assert np.array_equal(by_photo, engine.generate(labels, style=Image.fromarray(photo)))


def test_layouts_are_cached(engine: Engine, labels: np.ndarray) -> None:
    first = engine.generate(labels, count=2)
    assert (engine.timings.layouts, engine.timings.cached_layouts) == (1, 0)
    assert engine.timings.kernels > 0
    again = engine.generate(labels.astype(np.int32), count=2)
    assert engine.timings.cached_layouts == 1
    assert engine.timings.layout == 0
    assert engine.timings.total >= engine.timings.image > 0
    assert np.array_equal(again, first)
    engine.generate(labels, instances=np.arange(labels.size).reshape(labels.shape))
    assert engine.timings.cached_layouts == 0


def test_without_room_nothing_is_cached(tmp_path: Path, engine: Engine, labels: np.ndarray) -> None:
    frugal = Engine.load(tmp_path / "tiny.safetensors", cache_bytes=0)
    for _ in range(2):
        assert np.array_equal(frugal.generate(labels, seed=3), engine.generate(labels, seed=3))
        assert frugal.timings.cached_layouts == 0
    with pytest.raises(ValueError, match="limit_bytes is -1"):
        Engine.load(tmp_path / "tiny.safetensors", cache_bytes=-1)


def test_batches_of_different_layouts(engine: Engine, labels: np.ndarray) -> None:
    layouts = [labels, labels[:32, :64], labels]
    instances = [np.zeros(ids.shape, int) for ids in layouts]
    styles = engine.random_styles(3, seed=2)
    photos = engine.generate_batch(layouts, instances=instances, seed=2)
    assert engine.timings.layouts == 3
    assert engine.timings.cached_layouts == 1
    for photo, ids, edges, style in zip(photos, layouts, instances, styles, strict=True):
        assert np.array_equal(photo, engine.generate(ids, instances=edges, style=style)[0])
    assert engine.generate_batch([]) == []
    with pytest.raises(ValueError, match=r"layout 1: size 64×70"):
        engine.generate_batch([labels, np.zeros((64, 70), int)])
    with pytest.raises(ValueError, match="1 instance maps for 2 layouts"):
        engine.generate_batch([labels, labels], instances=[labels])


def test_threads_get_their_own_pictures_and_timings(engine: Engine, labels: np.ndarray) -> None:
    layouts = [np.where(labels == 255, label, labels) for label in (0, 1, 2)]
    expected = [engine.generate(layout) for layout in layouts]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda i: (engine.generate(layouts[i % 3]), engine.timings.layouts), range(12)))
    assert all(np.array_equal(found[i][0], expected[i % 3]) for i in range(12))
    assert {layouts_drawn for _, layouts_drawn in found} == {1}


def test_kinds_without_a_fast_form_are_drawn_by_the_plain_generator(labels: np.ndarray) -> None:
    class Flat(torch.nn.Module):
        config = GeneratorConfig(3, size=(64, 64), style_dim=1)

        def forward(self, semantic: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
            return torch.tanh(z.view(-1, 1, 1, 1) * semantic[:, :3])

    engine = Engine(Model(Flat(), None, SPACE), "flat", torch.device("cpu"), torch.float32)  # type: ignore[arg-type]
    photos = engine.generate(labels, count=5, style=np.arange(5, dtype=np.float32)[:, None])
    assert photos.shape == (5, 64, 96, 3)
    assert photos[4, 0, 0].tolist() == [128, 128, 128]  # unlabelled: no class channel, tanh 0, half of 255
    assert photos[4, 20, 30].tolist() == [128, 255, 128]  # class 1: tanh 4 = 0.9993


@pytest.mark.parametrize("kind", [GeneratorConfig, SpadeConfig])
def test_unlabelled_pixels_of_a_generator_without_their_channel(labels: np.ndarray, kind: Any) -> None:
    generator = build_generator(
        kind(3, unknown=False, size=(64, 64), width=1, style_dim=0, predictor_width=4)
    )
    initialise(generator, gain=1.0)
    model = Model(generator.eval(), None, SPACE)
    one_hot = (torch.from_numpy(labels)[None] == torch.arange(3)[:, None, None]).float()  # 255: all zero
    with torch.no_grad():
        expected = to_uint8(generator(one_hot[None], None))
    plain, fast = (
        Engine(model, "bare", torch.device("cpu"), torch.float32, fast=fast) for fast in (False, True)
    )
    assert np.array_equal(plain.generate(labels), expected)
    assert np.abs(fast.generate(labels).astype(int) - expected).max() <= 1  # rounding


def test_a_kind_without_a_fast_form_draws_unlabelled_pixels(labels: np.ndarray) -> None:
    generator = build_generator(
        Pix2PixHDConfig(3, unknown=False, size=(64, 64), width=2, halvings=2, blocks=1)
    )
    engine = Engine(Model(generator.eval(), None, SPACE), "hd", torch.device("cpu"), torch.float32)
    one_hot = (torch.from_numpy(labels)[None] == torch.arange(3)[:, None, None]).float()
    with torch.no_grad():
        assert np.array_equal(engine.generate(labels), to_uint8(generator(one_hot[None], None)))


def test_instances_change_the_picture(engine: Engine, labels: np.ndarray) -> None:
    halves = np.zeros(labels.shape, np.int64)
    halves[:, 48:] = 70_000
    assert not np.array_equal(engine.generate(labels, instances=halves), engine.generate(labels))


def test_palette_and_sixteen_bit_images(engine: Engine, labels: np.ndarray) -> None:
    palette = Image.fromarray(labels, mode="L").copy()
    assert np.array_equal(engine.generate(palette), engine.generate(labels))
    assert np.array_equal(engine.generate(Image.fromarray(labels.astype(np.uint16))), engine.generate(labels))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": np.zeros((64, 70), int)}, "multiples of 32; the nearest is 64×64"),
        ({"labels": np.zeros((64, 64, 3), int)}, "expected H×W integers"),
        ({"labels": np.zeros((64, 64))}, "expected H×W integers"),
        ({"labels": np.full((64, 64), 9)}, "9"),
        ({"labels": Image.new("RGB", (64, 64))}, "ccfpse data convert palette"),
        ({"instances": np.zeros((3, 3), int)}, "must agree"),
        ({"count": 0}, "count is 0"),
        ({"style": np.zeros(5, np.float32)}, "style has shape"),
        ({"style": np.full(4, np.nan, np.float32)}, "not finite"),
        ({"style": np.zeros((5, 5), np.uint8)}, "reference photo"),
    ],
)
def test_wrong_arguments_are_named(engine: Engine, labels: np.ndarray, change: dict, message: str) -> None:
    arguments = {"labels": labels} | change
    with pytest.raises(ValueError, match=message):
        engine.generate(arguments.pop("labels"), **arguments)


def test_model_without_style(tmp_path: Path, labels: np.ndarray) -> None:
    tiny_model(style_dim=0, instances=False).save(tmp_path / "plain.safetensors")
    engine = Engine.load(tmp_path / "plain.safetensors")
    assert not engine.encodes_style
    assert engine.generate(labels, count=2).shape[0] == 2
    with pytest.raises(ValueError, match="no style vector"):
        engine.generate(labels, style=np.zeros(4, np.float32))
    with pytest.raises(ValueError, match="no style encoder"):
        engine.encode_style(np.zeros((8, 8, 3), np.uint8))


def test_half_precision_file_is_half_the_size_and_close(tmp_path: Path, labels: np.ndarray) -> None:
    model = tiny_model()
    model.save(tmp_path / "whole.safetensors")
    model.save(tmp_path / "half.safetensors", half=True)
    sizes = [(tmp_path / f"{name}.safetensors").stat().st_size for name in ("half", "whole")]
    assert sizes[0] < 0.75 * sizes[1]
    pictures = [
        Engine.load(tmp_path / f"{name}.safetensors").generate(labels).astype(int)
        for name in ("half", "whole")
    ]
    assert np.abs(pictures[0] - pictures[1]).mean() < 1


@pytest.mark.parametrize("content", [b"", b"no tensors at all", b"\xff" * 100])
def test_damaged_files_are_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "broken.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match=r"broken\.safetensors: not a readable safetensors file"):
        Engine.load(tmp_path / "broken.safetensors")


def test_unknown_models_devices_and_dtypes(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such model"):
        Engine.load("nowhere")
    with pytest.raises(ValueError, match="choose one of auto"):
        Engine.load(tmp_path / "tiny.safetensors", dtype="int4")
    with pytest.raises(ValueError, match="device 'quantum' cannot be used"):
        Engine.load(tmp_path / "tiny.safetensors", device="quantum")


def test_a_run_is_named_after_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "sunset"
    tiny_model().save(run / "model.safetensors")
    (run / "samples").mkdir()
    (tmp_path / "latest").symlink_to(run)
    for folder, source in [
        (run, "."),
        (run, "model.safetensors"),
        (run, "./model.safetensors"),
        (run / "samples", ".."),
        (tmp_path, "sunset"),
        (tmp_path, run),
    ]:
        monkeypatch.chdir(folder)
        assert Engine.load(source, fast=False).name == "sunset", source
    assert Engine.load(tmp_path / "latest", fast=False).name == "latest"


def picture_size(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


def test_generate_files(engine: Engine, tmp_path: Path, labels: np.ndarray) -> None:
    folder = tmp_path / "layouts"
    folder.mkdir()
    Image.fromarray(labels).save(folder / "one.png")
    assert generate_files(engine, [folder], tmp_path / "out", count=2) == 2
    assert picture_size(tmp_path / "out" / "one-1.png") == (64, 64)  # the trained size
    assert generate_files(engine, [folder / "one.png"], tmp_path / "out", size="layout") == 1
    assert picture_size(tmp_path / "out" / "one.png") == (96, 64)
    generate_files(engine, [folder], tmp_path / "out", count=2, overview=tmp_path / "pictures" / "all.png")
    with Image.open(tmp_path / "pictures" / "all.png") as overview:
        cells = np.asarray(overview)
    assert cells.shape == (64, 3 * 64 + 2 * 4, 3)
    trained = np.asarray(Image.fromarray(labels).resize((64, 64), Image.Resampling.NEAREST))
    np.testing.assert_array_equal(cells[:, :64], SPACE.colorize(trained))
    np.testing.assert_array_equal(cells[:, 68:132], np.asarray(Image.open(tmp_path / "out" / "one-0.png")))
    with pytest.raises(ValueError, match="no such file"):
        generate_files(engine, [tmp_path / "absent.png"], tmp_path / "out")
    with pytest.raises(ValueError, match="would overwrite"):
        generate_files(engine, [folder, folder / "one.png"], tmp_path / "out")
    with pytest.raises(ValueError, match="size is 'huge'"):
        generate_files(engine, [folder], tmp_path / "out", size="huge")
    with pytest.raises(ValueError, match=r"one\.png: size 50×50"):
        generate_files(engine, [folder], tmp_path / "out", size="50")


def test_the_demo_refuses_models_of_other_classes(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"show facade, window, .* not the classes of the model 'tiny'; draw"
    ):
        demo.run(engine, tmp_path / "demo")
    assert not (tmp_path / "demo").exists()


def test_layouts_are_found_as_those_of_a_data_set(engine: Engine, tmp_path: Path, labels: np.ndarray) -> None:
    """In sub-folders, without the hidden files of macOS and instance maps."""
    (tmp_path / "layouts/more").mkdir(parents=True)
    (tmp_path / "layouts/instances").mkdir()
    Image.fromarray(labels).save(tmp_path / "layouts/more/one.png")
    Image.fromarray(labels).save(tmp_path / "layouts/instances/one.png")
    (tmp_path / "layouts/more/._one.png").write_bytes(b"not a picture")
    assert generate_files(engine, [tmp_path / "layouts"], tmp_path / "out") == 1


@pytest.mark.parametrize("place", ["set/labels/instances", "set/instances"])
@pytest.mark.parametrize("given", ["set/labels", "set/labels/one.png"])
def test_instance_maps_left_unread_are_told(
    engine: Engine,
    tmp_path: Path,
    labels: np.ndarray,
    place: str,
    given: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / place).mkdir(parents=True)
    (tmp_path / "set/labels").mkdir(exist_ok=True)
    Image.fromarray(labels).save(tmp_path / "set/labels/one.png")
    Image.fromarray(labels).save(tmp_path / place / "one.png")
    generate_files(engine, [tmp_path / given], tmp_path / "out")
    told = "".join(capsys.readouterr().err.split())
    assert f"--instances={tmp_path / place}".replace(" ", "") in told
    generate_files(engine, [tmp_path / given], tmp_path / "out", instances=tmp_path / place)
    assert "note" not in capsys.readouterr().err


def test_missing_and_unread_instance_maps_are_told(
    engine: Engine, tmp_path: Path, labels: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(labels).save(tmp_path / "one.png")
    (tmp_path / "instances").mkdir()
    with pytest.raises(
        ValueError, match=r"instances: no instance map one\.png for .*one\.png; add it, or leave"
    ):
        generate_files(engine, [tmp_path / "one.png"], tmp_path / "out", instances=tmp_path / "instances")
    Image.fromarray(labels).save(tmp_path / "instances/one.png")
    plain = Engine(tiny_model(style_dim=0, instances=False), "plain", torch.device("cpu"), torch.float32)
    generate_files(plain, [tmp_path / "one.png"], tmp_path / "out", instances=tmp_path / "instances")
    assert "reads no instances, so --instances changes nothing" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("size", ["trained", "layout"])
@pytest.mark.parametrize("shape", [(128, 192), (32, 48), (64, 95)])
def test_instance_maps_of_another_size_are_named(
    engine: Engine, tmp_path: Path, labels: np.ndarray, shape: tuple[int, int], size: str
) -> None:
    Image.fromarray(labels).save(tmp_path / "one.png")
    (tmp_path / "instances").mkdir()
    Image.fromarray(np.zeros(shape, np.uint8)).save(tmp_path / "instances" / "one.png")
    with pytest.raises(ValueError, match=rf"{shape[0]}×{shape[1]} .*64×96; they must agree") as caught:
        generate_files(
            engine, [tmp_path / "one.png"], tmp_path / "out", instances=tmp_path / "instances", size=size
        )
    assert str(caught.value).startswith(f"{tmp_path / 'instances' / 'one.png'}: instance map is ")
    assert f"the label map {tmp_path / 'one.png'} is" in str(caught.value)
