"""Comparisons: systems trained on equal terms, evaluated by one protocol, side by side in a table."""

from ccfpse.compare.cost import Cost
from ccfpse.compare.plan import Comparison, EvaluationSettings, Run, System
from ccfpse.compare.run import compare

__all__ = ["Comparison", "Cost", "EvaluationSettings", "Run", "System", "compare"]
