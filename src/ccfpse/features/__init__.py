"""Frozen public networks whose features losses and metrics compare: VGG, AlexNet, the FID Inception."""

from .inception import FidInception, load_inception
from .stacks import PerceptualFeatures, load_alexnet, load_vgg
from .weights import MissingWeights, find_weights, load_tensors

__all__ = [
    "FidInception",
    "MissingWeights",
    "PerceptualFeatures",
    "find_weights",
    "load_alexnet",
    "load_inception",
    "load_tensors",
    "load_vgg",
]
