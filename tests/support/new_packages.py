"""Packages that `new-modality` writes, installed for a test without pip."""

import json
import sys
from configparser import ConfigParser
from contextlib import contextmanager
from pathlib import Path

import forking

from lumina_core.cli.new_modality import new_modality
from lumina_core.plugins import host


def install(folder: Path, site: Path) -> None:
    """Put a package into a folder of sys.path, with the metadata that pip would write."""
    info = declare(folder, site)
    (info / "direct_url.json").unlink()
    about = _about(folder)
    package = about["options"]["packages"].strip()
    shipped = [path for path in (folder / package).glob("*.py")]
    for pattern in about["options.package_data"][package].split(","):
        shipped += (folder / package).glob(pattern.strip())
    for path in shipped:
        target = site / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    record = [f"{path.relative_to(folder).as_posix()},," for path in shipped]
    (info / "RECORD").write_text("\n".join(record) + "\n")


def declare(folder: Path, site: Path) -> Path:
    """Write the metadata of a package into a folder of sys.path: all that pip -e puts there."""
    about = _about(folder)
    name, package = about["metadata"]["name"], about["options"]["packages"].strip()
    info = site / f"{package}-{about['metadata']['version']}.dist-info"
    info.mkdir(parents=True)
    wanted = about["options"]["install_requires"].split()
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {about['metadata']['version']}"]
    lines += [f"Summary: {about['metadata']['description']}"]
    lines += [f"Requires-Dist: {requirement}" for requirement in wanted]
    (info / "METADATA").write_text("\n".join(lines) + "\n")
    points = (
        f"[{group}]\n{lines.strip()}\n" for group, lines in about["options.entry_points"].items()
    )
    (info / "entry_points.txt").write_text("".join(points))
    origin = {"url": folder.resolve().as_uri(), "dir_info": {"editable": True}}
    (info / "direct_url.json").write_text(json.dumps(origin))
    return info


def _about(folder: Path) -> ConfigParser:
    about = ConfigParser()
    about.read(folder / "setup.cfg")
    return about


@contextmanager
def installed(name: str, shape: str, folder: Path, monkeypatch, change=None, start=forking.start):
    """A package fresh from its template, changed before it is installed, as an installed modality.

    Args:
        name: of the modality.
        shape: as `new_modality` has it.
        folder: empty; source and site go there.
        monkeypatch: takes back what is changed in this process.
        change: called with the package's folder.
        start: how the process begins that tells what a first use does; as `first_use.start`.
    """
    package = new_modality(name, folder / "source", shape)
    if change is not None:
        change(package)
    site = folder / "site"
    install(package, site)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", str(site), prepend=":")
    monkeypatch.setattr("lumina_core.testing.first_use.start", start)
    host.forget()
    try:
        yield package
    finally:
        host.forget()
        for module in [each for each in sys.modules if each.partition(".")[0] == f"lumina_{name}"]:
            del sys.modules[module]
