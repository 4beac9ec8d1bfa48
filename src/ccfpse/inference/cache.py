"""Layouts that were drawn lately, by the bytes that they hold."""

import hashlib
import threading
from collections import OrderedDict
from typing import Protocol

import torch


class Sized(Protocol):
    """Anything that knows how much memory it holds."""

    @property
    def nbytes(self) -> int: ...


def layout_key(labels: torch.Tensor, edges: torch.Tensor | None) -> bytes:
    """The same for the same layout: size, labels H×W and edges H×W, on the CPU."""
    digest = hashlib.blake2b(repr(tuple(labels.shape)).encode(), digest_size=16)
    for part in (labels, edges):
        digest.update(b"-" if part is None else part.contiguous().numpy().data)
    return digest.digest()


class LayoutCache:
    """Holds the most recently used layouts' plans as long as all together fit into `limit_bytes`.

    Thread-safe. A plan that does not fit by itself is not held.
    """

    def __init__(self, limit_bytes: int) -> None:
        if limit_bytes < 0:
            raise ValueError(f"limit_bytes is {limit_bytes}, expected 0 (no cache) or more")
        self.limit_bytes = limit_bytes
        self._plans: OrderedDict[bytes, Sized] = OrderedDict()
        self._nbytes = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._plans)

    @property
    def nbytes(self) -> int:
        """Bytes held now."""
        return self._nbytes

    def get(self, key: bytes) -> Sized | None:
        """The plan, which becomes the most recent one; None where there is none."""
        with self._lock:
            if key not in self._plans:
                return None
            self._plans.move_to_end(key)
            return self._plans[key]

    def put(self, key: bytes, plan: Sized) -> None:
        """Holds the plan as the most recent one, and lets go of the oldest as far as it must."""
        with self._lock:
            if key in self._plans:
                self._nbytes -= self._plans.pop(key).nbytes
            if plan.nbytes > self.limit_bytes:
                return
            self._plans[key] = plan
            self._nbytes += plan.nbytes
            while self._nbytes > self.limit_bytes:
                self._nbytes -= self._plans.popitem(last=False)[1].nbytes

    def clear(self) -> None:
        """Lets go of everything."""
        with self._lock:
            self._plans.clear()
            self._nbytes = 0
