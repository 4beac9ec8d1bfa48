"""`ccfpse` as one process of several; each writes the checksum of the weights that it ended with."""

import hashlib
import os
import sys
from pathlib import Path

from ccfpse.cli import main
from ccfpse.training import loop

states = []
begin = loop.begin


def remembered(run):
    states.append(begin(run))
    return states[-1]


loop.begin = remembered
try:
    main()
finally:
    digest = hashlib.sha256()
    for network in states[0].networks.named.values():
        for name, tensor in network.state_dict().items():
            digest.update(name.encode() + tensor.numpy().tobytes())
    out = Path(sys.argv[sys.argv.index("--out") + 1])
    (out / f"rank-{os.environ['RANK']}.txt").write_text(digest.hexdigest())
