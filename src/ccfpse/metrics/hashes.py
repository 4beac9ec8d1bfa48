"""Networks known by their weights: what a score was measured by."""

import hashlib

import torch
from torch import nn


def hash_weights(digest: "hashlib._Hash", network: nn.Module) -> None:
    """Feeds all numbers of the network's state to a digest, in the order of its names, of any dtype."""
    for value in network.state_dict().values():
        digest.update(value.cpu().reshape(-1).view(torch.uint8).numpy())  # NumPy has no bfloat16
