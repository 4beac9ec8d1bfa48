"""What one request, and all of them together, may ask for."""

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Limits:
    """Bounds that are checked before anything is decoded or computed; all must be positive."""

    body_bytes: int = 16 * 2**20
    body_seconds: float = 20.0  # between two pieces of a request body
    layout_pixels: int = 1024 * 1024
    photo_pixels: int = 40_000_000
    images: int = 16  # of one request
    total_pixels: int = 4 * 2**20  # images × layout pixels of one request
    waiting: int = 16  # requests that wait for the worker or are in it
    drain_seconds: int = 60  # for requests in flight after SIGTERM

    def __post_init__(self) -> None:
        for field in fields(self):
            if not getattr(self, field.name) > 0:
                raise ValueError(f"{field.name} must be positive, got {getattr(self, field.name)}")
