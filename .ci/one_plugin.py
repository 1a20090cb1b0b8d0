"""Makes a virtual environment with the core, one plugin, and nothing but what the two declare.

    python .ci/one_plugin.py WHEELS VENV PLUGIN [PACKAGE]

The core, the plugin (its distribution's name) and a package of data that it uses are installed from
the wheels in a folder. What they require, the extras that the plugin asks for included, and what
that requires in turn, is linked from the environment that runs this, so that nothing is fetched and
torch is not copied: whatever nobody declares is not there, and neither is any other plugin.
"""

import subprocess
import sys
import venv
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

CORE = "lumina-core"


def required(name: str, extras: frozenset[str] = frozenset()) -> set[tuple[str, frozenset[str]]]:
    """What an installed distribution requires here, each with the extras that are asked for."""
    found = set()
    for text in metadata.requires(name) or []:
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in extras | {""}):
            found.add((canonicalize_name(requirement.name), frozenset(requirement.extras)))
    return found


def closure(name: str) -> set[str]:
    """The names of every distribution that one needs, itself included."""
    seen, waiting = set(), [(name, frozenset[str]())]
    while waiting:
        each = waiting.pop()
        if each not in seen:
            seen.add(each)
            waiting += required(*each)
    return {name for name, _ in seen}


def link(name: str, folder: Path) -> None:
    """Link the modules and the metadata of an installed distribution into a folder."""
    distribution = metadata.distribution(name)
    for top in {path.parts[0] for path in distribution.files or []} - {"..", "__pycache__"}:
        if not (folder / top).exists():
            (folder / top).symlink_to(distribution.locate_file(top))


def main(wheels: Path, place: Path, names: list[str]) -> None:
    """Make the environment."""
    venv.create(place, clear=True, with_pip=False)
    (site,) = place.glob("lib/python*/site-packages")
    libraries = place / "libraries"
    libraries.mkdir()
    needed = set().union(*map(closure, names))
    for name in needed - {CORE, *names}:
        link(name, libraries)
    (site / "libraries.pth").write_text(f"{libraries.absolute()}\n")
    files = [next(wheels.glob(f"{name.replace('-', '_')}-*.whl")) for name in (CORE, *names)]
    pip = [sys.executable, "-m", "pip", "--python", str(place / "bin" / "python")]
    install = [*pip, "install", "--quiet", "--no-index", "--no-deps", *map(str, files)]
    for command in (install, [*pip, "check"]):
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
