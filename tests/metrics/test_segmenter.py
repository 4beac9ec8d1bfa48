"""Our own segmentation network on toy data, and public ones mapped to a label space."""

import dataclasses
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from toy_pairs import SPACE, Threshold, ToyPairs

from ccfpse.labels import LabelSpace, distinct_colors
from ccfpse.metrics import HuggingFaceSegmenter, SegmenterTraining, SmallSegmenter, cached_segmenter
from ccfpse.metrics import segmenter as segmenter_module
from ccfpse.metrics.hugging_face import class_table
from ccfpse.metrics.measure import Instruments
from ccfpse.metrics.segmentation import Confusion
from stand_in_networks import alexnet

TRAINING = SegmenterTraining(images=480, batch=8, width=8, learning_rate=1e-2)


@pytest.fixture(autouse=True)
def random_alexnet(monkeypatch: pytest.MonkeyPatch) -> None:
    """The public weights are not needed to learn what is bright and what is dark."""
    monkeypatch.setattr(segmenter_module, "load_lpips", lambda weights: alexnet())


def mean_iou(segmenter: SmallSegmenter, pairs: ToyPairs) -> float:
    samples = [pairs.sample(index) for index in range(len(pairs))]
    predicted = segmenter(np.stack([sample.photo for sample in samples]))
    return Confusion.of(np.stack([sample.labels for sample in samples]), predicted, 2).mean_iou


def test_learns_what_can_be_seen_and_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train, val = ToyPairs(40), ToyPairs(20, seed=9)
    trained = cached_segmenter(train, SPACE, TRAINING, folder=tmp_path)
    assert mean_iou(trained, val) > 0.85
    (file,) = tmp_path.iterdir()
    assert file.stem == trained.name
    assert trained.predicts == (0, 1)

    def never(*_: object, **__: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(segmenter_module, "train_segmenter", never)
    photos = np.stack([val.sample(index).photo for index in range(3)])
    np.testing.assert_array_equal(
        cached_segmenter(train, SPACE, TRAINING, folder=tmp_path)(photos), trained(photos)
    )
    with pytest.raises(AssertionError, match="trained again"):
        cached_segmenter(ToyPairs(40, seed=2), SPACE, TRAINING, folder=tmp_path)


def test_training_repeats_exactly() -> None:
    short = SegmenterTraining(images=32, batch=8, width=4)
    first, second = (segmenter_module.train_segmenter(ToyPairs(8), SPACE, short, alexnet()) for _ in range(2))
    for mine, other in zip(
        first.network.state_dict().values(), second.network.state_dict().values(), strict=True
    ):
        assert torch.equal(mine, other)


def test_segmenters_of_one_name_are_told_apart_by_their_weights(tmp_path: Path) -> None:
    one, other = (SmallSegmenter(segmenter_module.SmallUNet(2, 4), alexnet(), 2, "x") for _ in range(2))
    one.save(tmp_path / "x.safetensors", SegmenterTraining(width=4))
    assert SmallSegmenter.load(tmp_path / "x.safetensors").identity == one.identity
    identities = [
        Instruments(torch.nn.Identity(), torch.nn.Identity(), segmenter, 2, "cpu").identity  # type: ignore[arg-type]
        for segmenter in (one, other)
    ]
    assert identities[0] != identities[1]


def test_any_size_is_read() -> None:
    network = segmenter_module.SmallUNet(3, 4).eval()
    assert SmallSegmenter(network, alexnet(), 3, "x")(np.zeros((2, 33, 70, 3), np.uint8)).shape == (2, 33, 70)


def test_nothing_labelled_is_refused() -> None:
    class Unlabelled(ToyPairs):
        def sample(self, index: int):
            pair = super().sample(index)
            pair.labels[:] = 2
            return pair

    with pytest.raises(ValueError, match="no labelled pixel"):
        segmenter_module.train_segmenter(Unlabelled(4), SPACE, TRAINING, alexnet())


def test_other_files_are_refused(tmp_path: Path) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors")
    with pytest.raises(ValueError, match=r"x\.safetensors: not a segmenter made by `ccfpse train-segmenter`"):
        SmallSegmenter.load(tmp_path / "x.safetensors")


def space(*names: str) -> LabelSpace:
    return LabelSpace(names, distinct_colors(len(names)))


def test_classes_are_matched_by_name() -> None:
    table = class_table(
        ["Sky", "person, individual", "traffic_light", "car"], space("car", "traffic light", "sky")
    )
    assert table.tolist() == [2, 3, 1, 0]  # 3: not in the label space
    with pytest.raises(ValueError, match=r"\(wall, …\).*\(car, …\) have no name in common"):
        class_table(["wall"], space("car"))


def test_cityscapes_networks_are_mapped_by_table() -> None:
    # Cityscapes' own label ids of the 19 classes that networks are trained on; two names spelt otherwise
    ids = {"road": 7, "sidewalk": 8, "building": 11, "wall": 12, "fence": 13, "pole": 17, "traffic light": 19}
    ids |= {
        "traffic sign": 20,
        "vegetation": 21,
        "terrain": 22,
        "sky": 23,
        "person": 24,
        "rider": 25,
        "car": 26,
    }
    ids |= {"truck": 27, "bus": 28, "train": 31, "motorcycle": 32, "bicycle": 33}
    names = [f"id {index}" for index in range(35)]
    for name, index in ids.items():
        names[index] = name
    spelt = [{"motorcycle": "motorbike", "terrain": "soil"}.get(name, name) for name in ids]
    assert class_table(spelt, space(*names)).tolist() == list(ids.values())


def test_ade20k_networks_are_mapped_by_position() -> None:
    names = [f"thing {index}" for index in range(150)]
    spelt = [name if index % 2 else f"other {name}" for index, name in enumerate(names)]
    assert class_table(spelt, space(*names)).tolist() == list(range(150))


def test_transformers_absent_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ValueError, match=r'needs transformers: pip install "ccfpse\[evaluate\]"'):
        HuggingFaceSegmenter("some/model", SPACE)


def save_segformer(folder: Path, answer: int = 1, **settings: Any) -> None:
    """A tiny network whose head always gives the class of this number, and how photos are prepared for it."""
    transformers = pytest.importorskip("transformers")
    names = {0: "block", 1: "moon", 2: "ground"}
    config = transformers.SegformerConfig(
        depths=[1, 1, 1, 1], hidden_sizes=[8, 8, 16, 16], num_attention_heads=[1, 1, 2, 2],
        decoder_hidden_size=16, id2label=names, label2id={name: index for index, name in names.items()},
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.SegformerForSemanticSegmentation(config)
    with torch.no_grad():
        model.decode_head.classifier.weight.zero_()
        model.decode_head.classifier.bias.copy_(torch.eye(3)[answer])
    model.save_pretrained(folder)
    settings = {
        "size": {"height": 64, "width": 64},
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
    } | settings
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))


def test_a_model_folder_is_read(tmp_path: Path) -> None:
    save_segformer(tmp_path)
    segmenter = HuggingFaceSegmenter(tmp_path, SPACE)
    assert segmenter.predicts == (0, 1)
    assert (segmenter(np.zeros((2, 32, 48, 3), np.uint8)) == 2).all()  # a class that the label space lacks
    with pytest.raises(ValueError, match="not a semantic segmentation model"):
        HuggingFaceSegmenter(tmp_path / "nowhere", SPACE)


def test_results_are_kept_for_what_the_answers_depend_on(tmp_path: Path) -> None:
    def identity(label_space: LabelSpace = SPACE, **settings: Any) -> str:
        save_segformer(tmp_path, **settings)
        segmenter = HuggingFaceSegmenter(tmp_path, label_space)
        return Instruments(torch.nn.Identity(), torch.nn.Identity(), segmenter, 2, "cpu").identity  # type: ignore[arg-type]

    first = identity()
    assert identity() == first
    others = [
        identity(space("block", "ground")),  # the names swapped: the same ids, another table
        identity(space("ground", "block", "sky")),
        identity(answer=2),  # other weights
        identity(size=96),
        identity(image_mean=[0.0] * 3),
        identity(do_normalize=False),
        identity(do_flip_channel_order=True),
    ]
    assert len({first, *others}) == 8


def test_the_name_alone_identifies_other_segmenters() -> None:
    instruments = Instruments(torch.nn.Identity(), torch.nn.Identity(), Threshold(), 2, "cpu")  # type: ignore[arg-type]
    assert instruments.identity == hashlib.sha256(b"('threshold', 0, 1)").hexdigest()[:16]
    none = dataclasses.replace(instruments, segmenter=None)
    assert none.identity == hashlib.sha256(b"None").hexdigest()[:16]


MOBILE = {"image_processor_type": "MobileViTImageProcessor", "size": {"height": 64, "width": 64}}


@pytest.mark.parametrize(
    ("settings", "seen"),
    [
        ({}, [1.0, 0.0, -1.0]),  # (x - 0.5) / 0.5
        ({"do_normalize": False}, [1.0, 0.5, 0.0]),
        ({"do_flip_channel_order": True, "image_mean": [0.0, 0.25, 0.5]}, [0.0, 0.5, 1.0]),
        (MOBILE, [0.0, 0.5, 1.0]),  # as its processor does when the file does not tell
        (MOBILE | {"do_normalize": None, "do_flip_channel_order": False}, [1.0, 0.5, 0.0]),
        ({"rescale_factor": 0.00392156862745098}, [1.0, 0.0, -1.0]),
    ],
)
def test_colours_reach_the_network_as_the_preprocessor_says(
    tmp_path: Path, settings: dict[str, Any], seen: list[float]
) -> None:
    save_segformer(tmp_path, **settings)
    segmenter, given = HuggingFaceSegmenter(tmp_path, SPACE), []
    segmenter._network.register_forward_pre_hook(
        lambda _, args, options: given.append(options["pixel_values"]), with_kwargs=True
    )
    segmenter(np.full((1, 64, 64, 3), (255, 127.5, 0)).round().astype(np.uint8))
    for channel, value in zip(given[0][0], seen, strict=True):
        torch.testing.assert_close(channel, torch.full((64, 64), value), atol=0.005, rtol=0)


@pytest.mark.parametrize("settings", [{"do_rescale": False}, {"rescale_factor": 1 / 127.5}])
def test_other_scales_of_pixels_are_refused(tmp_path: Path, settings: dict[str, Any]) -> None:
    save_segformer(tmp_path, **settings)
    with pytest.raises(ValueError, match=r"scales pixels by [\d.]+, but only 1/255 is served; .*train one"):
        HuggingFaceSegmenter(tmp_path, SPACE)


@pytest.mark.parametrize(
    ("settings", "shape"),
    [
        ({"size": 64}, (64, 64)),
        ({"size": 64, "image_processor_type": "SegformerImageProcessor"}, (64, 64)),
        ({"size": 64, "feature_extractor_type": "MobileViTFeatureExtractor"}, (64, 96)),
        ({"size": 64, "image_processor_type": "MobileNetV2ImageProcessor"}, (64, 96)),
        ({"size": 64, "do_resize": False}, (32, 48)),
        ({"size": [64, 128]}, (64, 128)),
        ({"size": {"shortest_edge": 64}}, (64, 96)),
    ],
)
def test_photos_are_resized_as_the_preprocessor_says(
    tmp_path: Path, settings: dict[str, Any], shape: tuple[int, int]
) -> None:
    save_segformer(tmp_path, **settings)
    segmenter, shapes = HuggingFaceSegmenter(tmp_path, SPACE), []
    segmenter._network.register_forward_pre_hook(
        lambda _, args, given: shapes.append(tuple(given["pixel_values"].shape)), with_kwargs=True
    )
    assert segmenter(np.zeros((2, 32, 48, 3), np.uint8)).shape == (2, 32, 48)
    assert shapes == [(2, 3, *shape)]
