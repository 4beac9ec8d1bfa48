"""Costs against hand counts and published numbers."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from ccfpse import ops
from ccfpse.compare.cost import Cost, count, predicted_flops
from ccfpse.models import build_generator
from ccfpse.presets import PRESETS


@pytest.mark.parametrize(("layouts", "kernel"), [(1, 3), (2, 1)])
def test_predicted_convolution_by_hand(layouts: int, kernel: int) -> None:
    x, hidden = torch.randn(2, 3, 4, 5), torch.randn(layouts, 7, 4, 5)
    weight, bias = torch.randn(27, 7, kernel, kernel), torch.randn(27)
    formulas = {torch.ops.ccfpse.predicted_cond_conv: predicted_flops}
    with FlopCounterMode(display=False, custom_mapping=formulas) as counter:
        ops.predicted_cond_conv(x, hidden, weight, bias)
    predicting = layouts * (4 * 5) * 27 * 7 * kernel**2
    applying = 2 * (4 * 5) * 3 * 9
    assert counter.get_total_flops() == 2 * (predicting + applying)


def cost(preset: str, **fields: object) -> Cost:
    """Of a COCO-Stuff generator: 182 classes, unknown and instance edges, 256²."""
    config = PRESETS[preset]().override({f"generator.{name}": value for name, value in fields.items()})
    with torch.device("meta"):
        return count(build_generator(config.generator_config(182, True, True)))


def test_spade_as_published() -> None:
    found = cost("spade_coco", style_dim=0)
    assert round(found.parameters / 1e6, 1) == 97.5
    assert round(found.gmac) == 191


def test_cc_fpse_as_specified() -> None:
    found = cost("coco")
    assert round(found.parameters / 1e6, 1) == 141.9
    # 455.6 GMAC are specified without applying the kernels: 9 · (fin + fmid) for each pixel of each block
    blocks = [(1024, 1024, 8), (1024, 1024, 16), (1024, 1024, 16), (1024, 512, 32), (512, 256, 64),
              (256, 128, 128), (128, 64, 256)]  # fmt: skip
    applying = sum(9 * (fin + fmid) * side**2 for fin, fmid, side in blocks)
    assert found.gmac - applying / 1e9 == pytest.approx(455.6, abs=0.05)


def test_counting_changes_nothing() -> None:
    config = PRESETS["facades"]().override({"generator.width": 1, "data.size": 64})
    generator = build_generator(config.generator_config(2, True, False)).train()
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    count(generator)
    assert generator.training
    assert all(torch.equal(value, before[name]) for name, value in generator.state_dict().items())
