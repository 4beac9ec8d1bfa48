"""VGG19, VGG16 and AlexNet up to the activations that perceptual losses and LPIPS compare.

Layers and key names (`features.N.weight`) are torchvision's; the classifier is left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import Tensor, nn

from ccfpse.features.weights import find_weights
from ccfpse.tensor_files import read_tensors


@dataclass(frozen=True)
class Stack:
    """A plain stack of convolutions (each with its ReLU) and pools; `taps` index the outputs kept.

    `layers` holds (width, kernel, stride) of a convolution, or "pool": `pool_kernel` wide, stride 2.
    """

    name: str
    layers: tuple[tuple[int, int, int] | Literal["pool"], ...]
    pool_kernel: int
    taps: tuple[int, ...]


def _vgg(name: str, taps: tuple[int, ...], *depths: int) -> Stack:
    layers: list[tuple[int, int, int] | Literal["pool"]] = []
    for width, depth in zip((64, 128, 256, 512, 512), depths, strict=True):
        layers += [(width, 3, 1)] * depth + ["pool"]
    return Stack(name, tuple(layers), pool_kernel=2, taps=taps)


STACKS = {
    stack.name: stack
    for stack in (
        # relu1_1, relu2_1, relu3_1, relu4_1, relu5_1
        _vgg("vgg19", (1, 6, 11, 20, 29), 2, 2, 4, 4, 4),
        _vgg("vgg16", (1, 6, 11, 18, 25), 2, 2, 3, 3, 3),
        # all five ReLUs
        Stack(
            "alexnet",
            ((64, 11, 4), "pool", (192, 5, 1), "pool", (384, 3, 1), (256, 3, 1), (256, 3, 1)),
            pool_kernel=3,
            taps=(1, 4, 7, 9, 11),
        ),
    )
}


class PerceptualFeatures(nn.Module):
    """A frozen stack; forward maps N×3×H×W float to the list of activations at its taps, shallow to deep.

    The input is taken as it is: any normalisation is the caller's.
    """

    def __init__(self, stack: Stack) -> None:
        super().__init__()
        self.name, self.taps = stack.name, stack.taps
        layers: list[nn.Module] = []
        channels = 3
        for layer in stack.layers:
            if layer == "pool":
                layers.append(nn.MaxPool2d(stack.pool_kernel, stride=2))
            else:
                width, kernel, stride = layer
                # torchvision's AlexNet pads its first convolution (11, stride 4) by 2; all others keep size
                padding = kernel // 2 if stride == 1 else 2
                layers += [nn.Conv2d(channels, width, kernel, stride, padding), nn.ReLU(inplace=True)]
                channels = width
        self.features = nn.Sequential(*layers[: stack.taps[-1] + 1])
        self.eval().requires_grad_(False)

    def forward(self, image: Tensor) -> list[Tensor]:
        activations = []
        for index, layer in enumerate(self.features):
            image = layer(image)
            if index in self.taps:
                activations.append(image)
        return activations

    def load(self, tensors: Mapping[str, Tensor], where: str) -> "PerceptualFeatures":
        """Loads the convolutions by name; what the file holds beyond the last tap is not used."""
        own = self.state_dict()
        wrong = [key for key in own if key not in tensors or tensors[key].shape != own[key].shape]
        if wrong:
            raise ValueError(f"{where}: these weights are absent or of another shape: {', '.join(wrong[:5])}")
        self.load_state_dict({key: tensors[key] for key in own})
        return self


def load_vgg(
    path: str | Path | None = None, *, kind: Literal["vgg19", "vgg16"] = "vgg19"
) -> PerceptualFeatures:
    """VGG19 (or VGG16) returning relu1_1, relu2_1, relu3_1, relu4_1, relu5_1; frozen, in eval mode, float32.

    With a `path` to a file the kind is read off the weights and `kind` is not looked at; without one, the
    weights are found as `find_weights` says. Raises `MissingWeights`; ValueError for another network's file.
    """
    file = find_weights(kind, path)
    tensors = read_tensors(file)
    if path is not None:
        kind = (
            "vgg19" if "features.16.weight" in tensors else "vgg16"
        )  # the 4th convolution of the third group
    return PerceptualFeatures(STACKS[kind]).load(tensors, str(file))


def load_alexnet(path: str | Path | None = None) -> PerceptualFeatures:
    """AlexNet returning its five ReLU activations (what LPIPS compares); frozen, in eval mode, float32."""
    file = find_weights("alexnet", path)
    return PerceptualFeatures(STACKS["alexnet"]).load(read_tensors(file), str(file))


def load_lpips_heads(path: str | Path | None = None) -> list[Tensor]:
    """The five 1×C×1×1 float32 weights with which LPIPS v0.1 sums AlexNet's squared feature differences."""
    file = find_weights("lpips_alexnet", path)
    tensors = read_tensors(file)
    keys = [f"lin{layer}.model.1.weight" for layer in range(len(STACKS["alexnet"].taps))]
    if missing := [key for key in keys if key not in tensors]:
        raise ValueError(f"{file}: no LPIPS heads for AlexNet there; absent: {', '.join(missing)}")
    return [tensors[key] for key in keys]
