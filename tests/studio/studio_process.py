"""A studio as a process of its own, with the fake engine in place of the real one, to try `run`."""

import sys
import types
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from fake_engine import FakeEngine

from ccfpse import model_files
from ccfpse.server import run

engine_module = types.ModuleType("ccfpse.engine")
engine_module.Engine = types.SimpleNamespace(load=lambda name, **_: FakeEngine(name, seconds=1.5))
sys.modules["ccfpse.engine"] = engine_module
model_files.bundled_models = lambda: ["fake"]

run(port=0, on_ready=lambda sentence: print(sentence, flush=True))
print("ended", flush=True)
