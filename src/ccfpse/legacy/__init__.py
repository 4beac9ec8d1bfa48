"""Rename rules for the released checkpoints, nothing else."""

from ccfpse.legacy.load import load

__all__ = ["load"]
