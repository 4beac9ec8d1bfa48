"""Label map in, photos out: owns a model, the conversion of what people hand over, and a lock. No HTTP, no
files out.
"""

import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ccfpse.checkpoint import Model
from ccfpse.inference import (
    LayoutCache,
    Place,
    PlainForm,
    Stopwatch,
    Timings,
    arithmetic,
    fast_form,
    layout_key,
)
from ccfpse.labels import LabelSpace
from ccfpse.model_files import find_model
from ccfpse.models import instance_edges
from ccfpse.models.interface import check_size
from ccfpse.pictures import to_tensor, to_uint8

CACHE_BYTES = 512 << 20  # for layouts drawn lately
CACHE_SHARE = 4  # one layout takes at most this part of it, so that several fit


def find_device(device: str) -> torch.device:
    """The device of a name, "auto" being a GPU where there is one; ValueError where it cannot be used."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        place = torch.device(device)
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError, ImportError) as error:
        raise ValueError(f"device {device!r} cannot be used here: {str(error).splitlines()[0]}") from error
    return place


class Engine:
    """A loaded model. Safe to share between threads: one draws at a time.

    A generator that has a fast form (`ccfpse.inference`) is folded into it and not kept; everything that a
    layout alone decides is computed once and cached, so that further styles of it cost little.
    """

    def __init__(
        self,
        model: Model,
        name: str,
        device: torch.device,
        dtype: torch.dtype,
        *,
        fast: bool = True,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self.name = name
        self.device = device
        self.dtype = arithmetic(device, dtype) if fast else dtype
        self.label_space: LabelSpace = model.label_space
        self.info = model.info
        self.config = model.generator.config
        self.encoder = model.encoder
        self._lock = threading.Lock()
        self._cache = LayoutCache(cache_bytes)
        self._local = threading.local()
        form = fast_form(model.generator, Place(device, self.dtype)) if fast else None
        if self.encoder is not None:
            self.encoder.requires_grad_(False).to(device=device, dtype=self.dtype)
        if form is None:
            generator = model.generator.requires_grad_(False).to(device=device, dtype=self.dtype)
            form = PlainForm(generator, self.config.classes, self.config.unknown, device, self.dtype)
        self._form = form

    @classmethod
    def load(
        cls,
        source: str | Path,
        *,
        device: str = "auto",
        dtype: str = "auto",
        fast: bool = True,
        cache_bytes: int = CACHE_BYTES,
    ) -> "Engine":
        """Loads a bundled model by name, a model file, or a run's folder.

        Args:
            device: "auto" (a GPU where there is one), "cpu", "cuda", "cuda:1", ….
            dtype: "auto" (float32), "float32", "bfloat16" or "float16". On a CPU without instructions for a
                half type the fast path computes in float32; `engine.dtype` says what is used.
            fast: False draws with the plain generator, for comparison.
            cache_bytes: limit of what is kept of layouts drawn lately; 0 keeps nothing.

        Raises:
            ValueError: where the model, the device or the dtype is not to be had, naming what is.
        """
        path = find_model(source)
        place = find_device(device)
        dtypes = {"auto": torch.float32} | {
            name: getattr(torch, name) for name in ("float32", "bfloat16", "float16")
        }
        if dtype not in dtypes:
            raise ValueError(f"dtype {dtype!r} is not known; choose one of {', '.join(dtypes)}")
        # abspath gives "." and ".." their names, and leaves links those that were asked for
        folder = Path(os.path.abspath(path)).parent.name
        name = folder if folder and path.name == "model.safetensors" else path.stem
        return cls(Model.load(path), name, place, dtypes[dtype], fast=fast, cache_bytes=cache_bytes)

    @property
    def style_dim(self) -> int:
        """Length of a style vector; 0 where one layout gives one photo."""
        return self.config.style_dim

    @property
    def uses_instances(self) -> bool:
        """Whether instance ids change the picture."""
        return self.config.instances

    @property
    def encodes_style(self) -> bool:
        """Whether a photo's style can be taken."""
        return self.encoder is not None

    @property
    def trained_size(self) -> tuple[int, int]:
        """(height, width) at which the model is at its best."""
        height, width = self.config.size
        return height, width

    @property
    def size_multiple(self) -> int:
        """Heights and widths must be multiples of this."""
        return self.config.size_multiple

    @property
    def attribution(self) -> str:
        """What has to be said about the training data."""
        return str(self.info.get("attribution", ""))

    @property
    def timings(self) -> Timings:
        """Where the time of this thread's last `generate` or `generate_batch` went; zeros before."""
        timings: Timings = getattr(self._local, "timings", Timings())
        return timings

    def random_styles(self, count: int, seed: int = 0) -> np.ndarray:
        """count×style_dim float32 draws of N(0, I); the first ones do not depend on `count`."""
        if count < 1:
            raise ValueError(f"count is {count}, expected 1 or more")
        if seed < 0:
            raise ValueError(f"seed is {seed}, expected 0 or more")
        return np.random.default_rng(seed).standard_normal((count, self.style_dim)).astype(np.float32)

    @torch.inference_mode()
    def encode_style(self, photo: np.ndarray | Image.Image) -> np.ndarray:
        """The mean style of an H×W×3 uint8 photo, style_dim float32."""
        if self.encoder is None:
            raise ValueError(f"model {self.name!r} has no style encoder; leave the reference photo out")
        pixels = np.asarray(photo.convert("RGB") if isinstance(photo, Image.Image) else photo)
        if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
            raise ValueError(f"the reference photo is {pixels.dtype} {pixels.shape}, expected uint8 H×W×3")
        with self._lock:
            mu, _ = self.encoder(to_tensor(pixels[None]).to(self.device, self.dtype))
        return mu[0].float().cpu().numpy()

    @torch.inference_mode()
    def generate(
        self,
        labels: np.ndarray | Image.Image,
        *,
        instances: np.ndarray | Image.Image | None = None,
        style: np.ndarray | Image.Image | None = None,
        count: int = 1,
        seed: int = 0,
    ) -> np.ndarray:
        """Draws `count` photos of one label map.

        Args:
            labels: H×W class ids (255 or the label space's own id for unlabelled), or a PIL image that holds
                them. H and W are multiples of `size_multiple`.
            instances: H×W instance ids, for models that use them; left out, classes are the instances.
            style: a photo H×W×3 uint8 whose style is taken, one style vector, or count×style_dim of them;
                left out, styles are drawn from the prior by `seed`.

        Returns:
            count×H×W×3 uint8.

        Raises:
            ValueError: for wrong shapes, sizes or ids, saying what was expected.
        """
        layout = self._layout(labels, instances)
        return self._draw([layout], [self._styles(style, count, seed)], count)[0]

    @torch.inference_mode()
    def generate_batch(
        self,
        layouts: Sequence[np.ndarray | Image.Image],
        *,
        instances: Sequence[np.ndarray | Image.Image] | None = None,
        style: np.ndarray | Image.Image | None = None,
        seed: int = 0,
    ) -> list[np.ndarray]:
        """Draws one photo of each of several label maps, of any sizes, under one turn of the lock.

        Args:
            layouts: label maps as in `generate`.
            instances: as many instance maps, or None.
            style: a photo or one style vector for all, or len(layouts)×style_dim; left out, the i-th photo
                has the i-th style of `random_styles(…, seed)`.

        Returns:
            H×W×3 uint8 photos, in order.

        Raises:
            ValueError: as `generate`, naming the layout; nothing is drawn then.
        """
        if instances is not None and len(instances) != len(layouts):
            raise ValueError(f"{len(instances)} instance maps for {len(layouts)} layouts; give one for each")
        if not layouts:
            return []
        pairs = []
        for index, labels in enumerate(layouts):
            try:
                pairs.append(self._layout(labels, None if instances is None else instances[index]))
            except ValueError as error:
                raise ValueError(f"layout {index}: {error}") from error
        styles = self._styles(style, len(layouts), seed)
        each = [None] * len(layouts) if styles is None else list(styles.split(1))
        return [photos[0] for photos in self._draw(pairs, each, 1)]

    def _draw(
        self,
        layouts: Sequence[tuple[torch.Tensor, torch.Tensor | None]],
        styles: Sequence[torch.Tensor | None],
        count: int,
    ) -> list[np.ndarray]:
        """count×H×W×3 uint8 for each layout (labels and edges on the CPU) and its count×style_dim styles."""
        asked, found, drawn = time.perf_counter(), 0, []
        with self._lock:
            waiting = time.perf_counter() - asked
            watch = Stopwatch(self.device)
            for (labels, edges), z in zip(layouts, styles, strict=True):
                key = layout_key(labels, edges)
                plan = self._cache.get(key)
                if plan is None:
                    room = self._cache.limit_bytes // CACHE_SHARE
                    plan = self._form.plan(labels, edges, keep_bytes=room, watch=watch)
                    self._cache.put(key, plan)
                else:
                    found += 1
                photos = to_uint8(self._form.paint(plan, z, watch=watch))
                watch.lap("pixels")
                drawn.append(photos if len(photos) == count else photos.repeat(count, axis=0))
            stages = watch.seconds()
        self._local.timings = Timings(
            waiting=waiting,
            layout=stages.get("layout", 0.0),
            kernels=stages.get("kernels", 0.0),
            image=stages.get("image", 0.0),
            pixels=stages.get("pixels", 0.0),
            layouts=len(layouts),
            cached_layouts=found,
        )
        return drawn

    def _layout(
        self, labels: np.ndarray | Image.Image, instances: np.ndarray | Image.Image | None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Channel indices H×W int64 and, for models that use them, instance edges H×W bool."""
        ids = _ids(labels, "labels")
        check_size((ids.shape[0], ids.shape[1]), self.size_multiple)
        channels = torch.from_numpy(self.label_space.to_index(ids))
        if not self.uses_instances:
            return channels, None
        given = ids if instances is None else _ids(instances, "instances")
        if given.shape != ids.shape:
            raise ValueError(f"instances are {given.shape}, but labels are {ids.shape}; they must agree")
        return channels, instance_edges(torch.from_numpy(given.astype(np.int64))[None])[0]

    def _styles(self, style: np.ndarray | Image.Image | None, count: int, seed: int) -> torch.Tensor | None:
        if count < 1:
            raise ValueError(f"count is {count}, expected 1 or more")
        if not self.style_dim:
            if style is not None:
                raise ValueError(f"model {self.name!r} has no style vector; leave style out")
            return None
        if style is None:
            vectors = self.random_styles(count, seed)
        elif isinstance(style, Image.Image) or np.asarray(style).dtype == np.uint8:
            vectors = self.encode_style(style)
        else:
            vectors = np.asarray(style, np.float32)
        if vectors.shape not in ((self.style_dim,), (count, self.style_dim)):
            raise ValueError(
                f"style has shape {vectors.shape}, expected a photo H×W×3 uint8, ({self.style_dim},) or "
                f"({count}, {self.style_dim})"
            )
        if not np.isfinite(vectors).all():
            raise ValueError("style holds values that are not finite numbers")
        return torch.from_numpy(np.broadcast_to(vectors, (count, self.style_dim)).copy())


def _ids(image: np.ndarray | Image.Image, name: str) -> np.ndarray:
    """H×W integers of an array or a single-channel PIL image."""
    if isinstance(image, Image.Image) and image.mode not in ("P", "L", "I", "I;16"):
        raise ValueError(
            f"{name} are a picture of mode {image.mode}, expected class ids in one channel; "
            "colour-coded maps are converted by `ccfpse data convert palette`"
        )
    ids = np.asarray(image)
    if ids.ndim != 2 or not np.issubdtype(ids.dtype, np.integer) or 0 in ids.shape:
        raise ValueError(f"{name} are {ids.dtype} of shape {ids.shape}, expected H×W integers")
    return ids
