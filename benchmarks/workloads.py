"""What is measured: each workload in its plain form and its fast forms, on random weights and layouts.

"plain" is the method as the paper's equation reads: unfold · multiply · sum over kernels held whole, eager
float32, every image on its own. "fast" is what the package does; "fast bfloat16" is its half-precision form,
"fast kernels", "fast selective" and "fast full" are its training at the levels of `compute.checkpointing`
("fast" keeps everything).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from weakref import WeakValueDictionary

import torch
from torch import nn

from ccfpse import ops
from ccfpse.inference import Place, PlainForm, Stopwatch, arithmetic, fast_form
from ccfpse.inference.block import tap_major
from ccfpse.models import (
    FPSEDiscriminator,
    Generator,
    GeneratorConfig,
    StyleEncoder,
    instance_edges,
    semantic_map,
)
from ccfpse.ops.strip import cond_conv_strip
from ccfpse.presets import PRESETS
from ccfpse.training.config import TrainConfig
from ccfpse.training.recompute import recompute
from ccfpse.training.state import TrainState
from ccfpse.training.steps import Batch, Networks
from ccfpse.training.update import step

DRAWING = ("one image", "cached layout", "styles")
TRAINING = ("training forward", "training step")
CHECKPOINTING = {
    "fast": "none",
    "fast kernels": "kernels",
    "fast selective": "selective",
    "fast full": "full",
}
CONFIGS = {
    "demo": GeneratorConfig(
        11, instances=True, size=(128, 128), width=24, style_dim=64, predictor_width=32, predictor_kernel=1
    ),
    "coco": GeneratorConfig(182, instances=True),
    "tiny": GeneratorConfig(5, instances=True, size=(64, 64), width=4, style_dim=8, predictor_width=8),
}
PRESET = {"demo": "facades", "coco": "coco", "tiny": "facades"}
TRAINING_BATCH = {"demo": 4, "coco": 1, "tiny": 1}
KEEP_BYTES = 128 << 20  # of one layout: the engine's default share
# Drawn by the plain model, each on its own, where the fast one draws many styles; times are per image.
PLAIN_IMAGES = {"demo": 2, "coco": 1, "tiny": 2}


@dataclass(frozen=True)
class Workload:
    """name: as in the table. config: a key of CONFIGS. size, styles: where they are not the default."""

    name: str
    config: str
    size: int | None = None
    styles: int = 1

    @property
    def title(self) -> str:
        """In words."""
        size = f" of {self.size}²" if self.size else ""
        return f"{self.config}: {self.name}{size}" + (f", {self.styles} styles" if self.styles > 1 else "")


@dataclass(frozen=True)
class Prepared:
    """A function to be timed; times and FLOPs are divided by `images`."""

    run: Callable[[], object]
    images: int = 1
    moved_bytes: int | None = None  # the least memory traffic, where memory is what bounds
    saves: bool = False  # whether it is asked what the run saves for its backward pass


def variants(workload: Workload) -> tuple[str, ...]:
    """The rows of a workload, the plain one first."""
    return ("plain", *CHECKPOINTING) if workload.name in TRAINING else ("plain", "fast", "fast bfloat16")


def unsupported(variant: str, workload: Workload, device: torch.device) -> str | None:
    """Why a variant is not measured here; None when it is."""
    if variant == "fast bfloat16" and arithmetic(device, torch.bfloat16) != torch.bfloat16:
        return "this CPU has no bfloat16 instructions; the engine computes in float32"
    if variant == "plain" and workload.size:
        config = CONFIGS[workload.config]
        # The last block's kernels, the unfolded input and their product are held at once, all whole.
        needed = 3 * 4 * 9 * 2 * config.width * workload.size**2
        if needed > 0.6 * _available_bytes(device):
            return f"kernels and products held whole take some {needed / 2**30:.0f} GB, more than is free"
    return None


def prepare(workload: Workload, variant: str, device: torch.device) -> Prepared:
    torch.manual_seed(0)
    maker = {
        "apply": _apply,
        "op forward": _operator,
        "op forward+backward": _operator,
        "one image": _images,
        "styles": _images,
        "cached layout": _images,
        "training step": _training_step,
        "training forward": _training_forward,
    }[workload.name]
    return maker(workload, variant, device)


def _dtype(variant: str) -> torch.dtype:
    return torch.bfloat16 if variant == "fast bfloat16" else torch.float32


def _backend(variant: str) -> str:
    return "reference" if variant == "plain" else "auto"


def _shape(workload: Workload) -> tuple[int, int, int, int]:
    """C, H, W and the predictor's width of the last block's first conditional convolution."""
    config = CONFIGS[workload.config]
    height, width = config.size
    return 2 * config.width, height, width, config.predictor_width


def _apply(workload: Workload, variant: str, device: torch.device) -> Prepared:
    """Kernels that are there already: bound by reading them."""
    c, h, w, _ = _shape(workload)
    dtype = _dtype(variant)
    x = torch.randn(1, c, h, w, device=device, dtype=dtype)
    weight = torch.randn(1, 9 * c, h, w, device=device, dtype=dtype)
    moved = weight.nbytes + 2 * x.nbytes
    if variant == "plain":
        return Prepared(lambda: ops.cond_conv(x, weight, backend="reference"), moved_bytes=moved)
    kernels = tap_major(weight[0])[None].contiguous(memory_format=torch.channels_last)
    window = nn.functional.pad(x.contiguous(memory_format=torch.channels_last), (1, 1, 1, 1))
    return Prepared(torch.inference_mode()(lambda: cond_conv_strip(window, kernels)), moved_bytes=moved)


def _operator(workload: Workload, variant: str, device: torch.device) -> Prepared:
    c, h, w, k = _shape(workload)
    kernel = CONFIGS[workload.config].predictor_kernel
    backward = workload.name == "op forward+backward"
    shapes = [(1, c, h, w), (1, k, h, w), (9 * c, k, kernel, kernel), (9 * c,)]
    tensors = [
        torch.randn(shape, device=device, dtype=_dtype(variant), requires_grad=backward) for shape in shapes
    ]

    def run() -> object:
        with torch.set_grad_enabled(backward):
            y = ops.predicted_cond_conv(*tensors, backend=_backend(variant))
            return torch.autograd.grad(y.sum(), tensors) if backward else y

    return Prepared(run)


def _layout(config: GeneratorConfig, count: int = 1) -> torch.Tensor:
    """count×H×W labels in blocks of 16 pixels."""
    height, width = config.size
    blocks = torch.randint(0, config.classes, (count, height // 16, width // 16))
    return blocks.repeat_interleave(16, 1).repeat_interleave(16, 2)


def _images(workload: Workload, variant: str, device: torch.device) -> Prepared:
    config = CONFIGS[workload.config]
    if workload.size:
        config = replace(config, size=(workload.size, workload.size))
    generator = Generator(config).requires_grad_(False).eval()
    labels = _layout(config)[0]
    edges = instance_edges(labels[None])[0]
    z = torch.randn(workload.styles, config.style_dim)
    watch = Stopwatch(torch.device("cpu"))
    if variant == "plain":
        plain = PlainForm(generator.to(device), config.classes, True, device, torch.float32)
        images = min(len(z), PLAIN_IMAGES[workload.config])

        @torch.inference_mode()
        def run_plain() -> None:
            with ops.use_backend("reference"):
                plan = plain.plan(labels, edges, keep_bytes=0, watch=watch)
                for one in z[:images].split(1):
                    plain.paint(plan, one, watch=watch)

        return Prepared(run_plain, images)
    fast = fast_form(generator, Place(device, _dtype(variant)))
    assert fast is not None
    del generator  # its weights are no part of the fast form's memory
    cached = None
    if workload.name == "cached layout":
        with torch.inference_mode():
            cached = fast.plan(labels, edges, keep_bytes=KEEP_BYTES, watch=watch)

    @torch.inference_mode()
    def run_fast() -> None:
        # Nothing is kept of a layout that is drawn once.
        plan = fast.plan(labels, edges, keep_bytes=0, watch=watch) if cached is None else cached
        fast.paint(plan, z, watch=watch)

    return Prepared(run_fast, len(z))


def _batch(workload: Workload, device: torch.device) -> tuple[GeneratorConfig, torch.Tensor, torch.Tensor]:
    config = CONFIGS[workload.config]
    labels = _layout(config, TRAINING_BATCH[workload.config])
    semantic = semantic_map(labels, config.classes, unknown=True, instances=labels)
    return config, semantic.to(device), torch.randn(len(labels), config.style_dim, device=device)


def _training_forward(workload: Workload, variant: str, device: torch.device) -> Prepared:
    config, semantic, z = _batch(workload, device)
    generator = Generator(config).to(device)
    recompute(generator, CHECKPOINTING.get(variant, "kernels"))

    def run() -> torch.Tensor:
        with ops.use_backend(_backend(variant)):
            return generator(semantic, z)

    return Prepared(run, len(semantic), saves=True)


def _training_step(workload: Workload, variant: str, device: torch.device) -> Prepared:
    """Generator's and discriminator's step without the perceptual loss."""
    config, semantic, z = _batch(workload, device)
    training = PRESETS[PRESET[workload.config]]()
    state = _TRAINED.setdefault((workload.config, device), _fresh_state(workload.config, training, device))
    photo = torch.rand(len(semantic), 3, *config.size, device=device) * 2 - 1
    batch = Batch(photo, semantic, z)

    def run() -> None:
        recompute(state.networks.generator, CHECKPOINTING.get(variant, "kernels"))
        with ops.use_backend(_backend(variant)):
            step(state, [batch], training, None)

    return Prepared(run, len(semantic))


# The variants of a row train one state in turns: at full width it takes 3 GB.
_TRAINED: WeakValueDictionary[tuple[str, torch.device], TrainState] = WeakValueDictionary()


def _fresh_state(name: str, training: TrainConfig, device: torch.device) -> TrainState:
    config = CONFIGS[name]
    encoder = replace(training.encoder_config(), style_dim=config.style_dim)
    if name == "tiny":
        encoder = replace(encoder, width=4, input_size=64)
    networks = Networks(
        Generator(config).to(device),
        FPSEDiscriminator(training.discriminator_config(config.semantic_channels)).to(device),
        StyleEncoder(encoder).to(device),
    )
    return TrainState.start(networks, training)


def _available_bytes(device: torch.device) -> float:
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    meminfo = Path("/proc/meminfo")
    if not meminfo.exists():
        return float("inf")
    lines = meminfo.read_text().splitlines()
    return next(float(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
