"""HTTP over `Engine`: the studio page and the API behind it (`pip install "ccfpse[studio]"`)."""

from ccfpse.server.limits import Limits
from ccfpse.server.run import run

__all__ = ["Limits", "run"]
