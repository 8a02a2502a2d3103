"""Stylesheet, script and icons: small files that come with the package, read once and named by what they hold.

A page asks for `/static/waypost.css?v=HASH`; the hash is of the content, so a browser keeps the file for good and asks
anew only after an upgrade. The scripts of others are in `static/vendor`, where the build puts them.
"""

import gzip
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

KINDS: Mapping[str, str] = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".txt": "text/plain; charset=utf-8",
}
_HASH_LENGTH = 12


@dataclass(frozen=True, slots=True)
class Asset:
    """One file: its bytes, as they are and packed, and the hash that names this version of it."""

    name: str
    media_type: str
    content: bytes
    packed: bytes
    version: str

    @property
    def url(self) -> str:
        """Where a page finds this version."""
        return f"/static/{self.name}?v={self.version}"


@cache
def assets() -> Mapping[str, Asset]:
    """Give every file by its name below `static/`, as `vendor/htmx.min.js`."""
    found = {asset.name: asset for asset in _below(files("waypost.dashboard") / "static", "")}
    assert "waypost.css" in found, found.keys()
    return found


def asset_url(name: str) -> str:
    """Give the address of a file, with its version. Raises KeyError for one that the package lacks."""
    return assets()[name].url


def has_asset(name: str) -> bool:
    """Whether the package has a file. Without those of others, pages can be read, and nothing reloads by itself."""
    return name in assets()


def _below(folder: Traversable, prefix: str) -> Iterator[Asset]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _below(entry, f"{prefix}{entry.name}/")
            continue
        media_type = KINDS.get("." + entry.name.rpartition(".")[2])
        if media_type is not None:
            content = entry.read_bytes()
            version = hashlib.sha256(content).hexdigest()[:_HASH_LENGTH]
            packed = gzip.compress(content, mtime=0)
            yield Asset(f"{prefix}{entry.name}", media_type, content, packed, version)
