"""HTTP over `Engine`: the studio page and the API behind it (`pip install "ccfpse[studio]"`)."""

from ccfpse.server.launch import run
from ccfpse.server.limits import Limits

__all__ = ["Limits", "run"]
