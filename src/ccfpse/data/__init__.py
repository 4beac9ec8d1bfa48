"""Data sets: pairs of photos and label maps as numpy arrays (torch is not needed here)."""

from ccfpse.data.dataset import PairedDataset
from ccfpse.data.folder import FolderDataset
from ccfpse.data.layouts import open_dataset
from ccfpse.data.sample import CorruptSample, Sample
from ccfpse.data.sampler import SampleOrder
from ccfpse.data.transforms import PairedTransform

__all__ = [
    "CorruptSample",
    "FolderDataset",
    "PairedDataset",
    "PairedTransform",
    "Sample",
    "SampleOrder",
    "open_dataset",
]
