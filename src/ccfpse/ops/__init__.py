"""The conditional convolution: a depthwise convolution with its own kernel at every pixel."""

from ccfpse.ops.cond_conv import cond_conv, predicted_cond_conv, use_backend

__all__ = ["cond_conv", "predicted_cond_conv", "use_backend"]
