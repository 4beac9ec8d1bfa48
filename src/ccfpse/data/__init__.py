"""Data sets: pairs of photos and label maps as numpy arrays (torch is not needed here)."""

from ccfpse.data.folder import FolderDataset
from ccfpse.data.sample import CorruptSample, Sample
from ccfpse.data.transforms import PairedTransform

__all__ = ["CorruptSample", "FolderDataset", "PairedTransform", "Sample"]
