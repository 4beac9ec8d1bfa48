"""Where public weights are found: by path, in `$CCFPSE_WEIGHTS`, in the cache, or by download with sha256.

torchvision and pytorch-fid put the first eight hex digits of a file's sha256 into its name. A download is
held against those digits; their publishers vouch for no more.
"""

import hashlib
import os
import tempfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import rich.progress


class MissingWeights(FileNotFoundError):
    """Public weights were not found and could not be downloaded; the message says where we looked."""


@dataclass(frozen=True)
class PublicFile:
    """A published weights file: its address, the start (or all) of its sha256, other names on disk."""

    url: str
    sha256: str
    also_named: tuple[str, ...] = ()

    @property
    def file_names(self) -> tuple[str, ...]:
        return (self.url.rsplit("/", 1)[1], *self.also_named)


PUBLIC_FILES = {
    "vgg19": PublicFile("https://download.pytorch.org/models/vgg19-dcbb9e9d.pth", "dcbb9e9d"),
    "vgg16": PublicFile(
        "https://download.pytorch.org/models/vgg16-397923af.pth",
        "397923af",
        ("vgg16_lpips.fp16.safetensors",),
    ),
    "alexnet": PublicFile(
        "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
        "7be5be79",
        ("alexnet_lpips.fp16.safetensors",),
    ),
    "inception": PublicFile(
        "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
        "6726825d",
        ("fid_inception_v3.safetensors",),
    ),
    "lpips_alexnet": PublicFile(
        "https://raw.githubusercontent.com/richzhang/PerceptualSimilarity/master/lpips/weights/v0.1/alex.pth",
        "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
        ("alexnet_lpips.fp16.safetensors",),
    ),
}


def cache_folder() -> Path:
    """Where downloads and cached statistics are kept: `$XDG_CACHE_HOME/ccfpse`, else `~/.cache/ccfpse`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ccfpse"


def find_weights(name: str, path: str | Path | None = None, download: bool = True) -> Path:
    """The file of the public weights `name` (a key of `PUBLIC_FILES`).

    Looked for in this order: `path` (a file, or a folder holding one of the file's names), the folder
    `$CCFPSE_WEIGHTS`, the cache folder, and last the public address. A `path` that does not hold the file is
    an error: no other file is used instead. Raises `MissingWeights`.
    """
    if name not in PUBLIC_FILES:
        raise ValueError(f"no public weights are called {name!r}; there are {', '.join(PUBLIC_FILES)}")
    public = PUBLIC_FILES[name]
    if path is not None:
        found = _in_folder(Path(path), public) if Path(path).is_dir() else Path(path)
        if found is None:
            raise MissingWeights(
                f"{path}: no {name} weights in this folder; expected {' or '.join(public.file_names)}"
            )
        if not found.is_file():
            raise MissingWeights(f"{path}: no such file or folder; expected {name} weights")
        return found
    folders = [cache_folder()]
    if os.environ.get("CCFPSE_WEIGHTS"):
        folders.insert(0, Path(os.environ["CCFPSE_WEIGHTS"]))
    for folder in folders:
        if (found := _in_folder(folder, public)) is not None:
            return found
    failure = "no download was asked for"
    if download:
        try:
            return download_file(public, cache_folder())
        except OSError as error:
            failure = f"{public.url} could not be downloaded ({error})"
    raise MissingWeights(
        f"{name} weights not found: looked for {' or '.join(public.file_names)} in"
        f" {' and '.join(map(str, folders))}, and {failure}; put the file there or"
        f" set $CCFPSE_WEIGHTS to its folder"
    )


def _in_folder(folder: Path, public: PublicFile) -> Path | None:
    return next((folder / name for name in public.file_names if (folder / name).is_file()), None)


def download_file(public: PublicFile, folder: Path) -> Path:
    """Downloads into `folder` and returns the path; a wrong sha256 raises OSError and keeps nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / public.file_names[0]
    digest = hashlib.sha256()
    with urllib.request.urlopen(public.url, timeout=30) as response:
        size = int(response.headers.get("Content-Length") or 0) or None
        with (
            rich.progress.wrap_file(response, total=size or 0, description=target.name) as source,
            tempfile.NamedTemporaryFile(dir=folder, suffix=".part", delete=False) as part,
        ):
            try:
                while block := source.read(1 << 20):
                    digest.update(block)
                    part.write(block)
                part.close()
                if not digest.hexdigest().startswith(public.sha256):
                    raise OSError(f"its sha256 is {digest.hexdigest()}, expected {public.sha256}…")
                os.replace(part.name, target)
            except BaseException:
                Path(part.name).unlink(missing_ok=True)
                raise
    return target
