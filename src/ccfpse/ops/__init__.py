"""The conditional convolution: a depthwise convolution with its own kernel at every pixel."""

from ccfpse.ops.cond_conv import cond_conv, predicted_cond_conv, preferred_backend, use_backend
from ccfpse.ops.label_conv import label_codes, label_conv, label_rows, look_up

__all__ = [
    "cond_conv",
    "label_codes",
    "label_conv",
    "label_rows",
    "look_up",
    "predicted_cond_conv",
    "preferred_backend",
    "use_backend",
]
