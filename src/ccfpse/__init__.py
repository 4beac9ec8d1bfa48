"""Semantic image synthesis with layout-predicted convolutions (CC-FPSE)."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ccfpse.engine import Engine

__all__ = ["Engine", "__version__"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name == "Engine":  # torch is imported when it is needed, so that `ccfpse --help` is instant
        from ccfpse.engine import Engine

        return Engine
    raise AttributeError(f"module 'ccfpse' has no attribute {name!r}")
