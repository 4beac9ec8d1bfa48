"""Frozen public networks whose features losses and metrics compare: VGG, AlexNet, the FID Inception."""

from ccfpse.features.inception import FidInception, load_inception
from ccfpse.features.stacks import PerceptualFeatures, load_alexnet, load_lpips_heads, load_vgg
from ccfpse.features.weights import MissingWeights, cache_folder, find_weights

__all__ = [
    "FidInception",
    "MissingWeights",
    "PerceptualFeatures",
    "cache_folder",
    "find_weights",
    "load_alexnet",
    "load_inception",
    "load_lpips_heads",
    "load_vgg",
]
