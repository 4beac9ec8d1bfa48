"""Seconds per image and peak memory: `python benchmarks/cost.py {facades,coco} {generate,train} [VGG]`.

Random weights and layouts of 16-pixel blocks. "train" includes the perceptual loss where a file with VGG
weights is given. One figure per process, so that the peak is its own.
"""

import resource
import statistics
import sys
import time

import torch

from ccfpse.features import load_vgg
from ccfpse.losses import PerceptualLoss
from ccfpse.models import FPSEDiscriminator, Generator, StyleEncoder, semantic_map
from ccfpse.presets import PRESETS
from ccfpse.training.state import TrainState
from ccfpse.training.steps import Batch, Networks
from ccfpse.training.update import step

SPACES = {"facades": (11, True, True), "coco": (182, True, True)}


def main(name: str, what: str, vgg: str | None = None) -> None:
    torch.manual_seed(0)
    config = PRESETS[name]().override({"batch": "1"} if name == "coco" else {})
    classes, unknown, instances = SPACES[name]
    shape = config.generator_config(classes, unknown, instances)
    height, width = shape.size
    count = config.batch if what == "train" else 1
    blocks = torch.randint(0, classes, (count, height // 16, width // 16))
    labels = blocks.repeat_interleave(16, 1).repeat_interleave(16, 2)
    semantic = semantic_map(labels, classes, unknown=unknown, instances=labels)
    noise = torch.randn(count, shape.style_dim)
    generator = Generator(shape)
    seconds = []
    if what == "train":
        networks = Networks(
            generator,
            FPSEDiscriminator(config.discriminator_config(shape.semantic_channels)),
            StyleEncoder(config.encoder_config()),
        )
        state = TrainState.start(networks, config)
        perceptual = PerceptualLoss(load_vgg(vgg)) if vgg else None
        batch = Batch(torch.rand(count, 3, height, width) * 2 - 1, semantic, noise)
        for _ in range(4 if name == "facades" else 2):
            began = time.perf_counter()
            step(state, [batch], config, perceptual)
            seconds.append((time.perf_counter() - began) / count)
    else:
        generator.eval()
        for _ in range(6 if name == "facades" else 3):
            began = time.perf_counter()
            with torch.inference_mode():
                generator(semantic, noise)
            seconds.append(time.perf_counter() - began)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    median = statistics.median(seconds[1:])
    print(f"{name} {what}: {median:.2f} s per image (median, batch {count}), peak {peak:.0f} MB")


if __name__ == "__main__":
    main(*sys.argv[1:])
