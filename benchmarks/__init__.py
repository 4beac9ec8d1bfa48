"""Speed and memory, measured: `python -m benchmarks --help`. Nothing here is part of the package."""
