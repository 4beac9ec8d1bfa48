"""Scores of generated photos: FID, KID, LPIPS, layout fidelity, under one protocol named in the report."""

from ccfpse.metrics.controls import control_faults, control_reports, control_table
from ccfpse.metrics.evaluate import evaluate
from ccfpse.metrics.hugging_face import HuggingFaceSegmenter
from ccfpse.metrics.inputs import (
    Generate,
    Pair,
    Pairs,
    Segmenter,
    folder_identity,
    images_from_folder,
)
from ccfpse.metrics.protocol import Protocol
from ccfpse.metrics.report import Report, compare_reports
from ccfpse.metrics.segmenter import SegmenterTraining, SmallSegmenter, cached_segmenter

__all__ = [
    "Generate",
    "HuggingFaceSegmenter",
    "Pair",
    "Pairs",
    "Protocol",
    "Report",
    "Segmenter",
    "SegmenterTraining",
    "SmallSegmenter",
    "cached_segmenter",
    "compare_reports",
    "control_faults",
    "control_reports",
    "control_table",
    "evaluate",
    "folder_identity",
    "images_from_folder",
]
