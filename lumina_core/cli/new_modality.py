"""Write the package of a new modality from a template.

A template is itself a plugin that works, of a modality called `mymodality`; that word is replaced
in its files and their names, and nothing else. So a template is linted, formatted and tested like
any other code, and what is written passes the contract before its author has changed a line.
"""

import keyword
import re
from pathlib import Path
from shlex import quote

from lumina_core.errors import LuminaError, nearest
from lumina_core.plugins import host
from lumina_core.program import command_line

TEMPLATES = Path(__file__).parent / "templates"
SHAPES = ("line", "grid")
"""What grows along one axis, as a sound; rows, columns and frames, as a picture or a film."""
PLACEHOLDER = "mymodality"
MAX_NAME = 40  # characters; it stands in commands and file names
_NAME = re.compile(r"[a-z]([a-z0-9_]*[a-z0-9])?")  # pip takes no package whose name ends in -
_RESERVED = ("core", PLACEHOLDER, "options", "plugin", "world")
"""`lumina_core` is taken, and so are the names of a template's modules."""


def new_modality(name: str, parent: Path, shape: str = SHAPES[0]) -> Path:
    """Write the package `lumina-NAME`, whole or not at all.

    Args:
        name: of the modality: lower-case letters, digits and underscores.
        parent: the folder in which the package's folder is made.
        shape: of its data, one of SHAPES.

    Returns:
        The package's folder.

    Raises:
        LuminaError: the name cannot be one or is taken, there is no such shape, or the folder
            exists already or cannot be written.
    """
    check_name(name)
    if shape not in SHAPES:
        raise LuminaError(
            f"--shape={shape} is unknown; use {' or '.join(SHAPES)}.{nearest(shape, SHAPES)}"
        )
    template = TEMPLATES / shape
    if parent.exists() and not parent.is_dir():
        raise LuminaError(f"{parent} is no folder; name the one in which the package is to be made")
    folder = parent / f"lumina-{name.replace('_', '-')}"
    from lumina_core.files.writing import atomic_folder

    if folder.exists() or folder.is_symlink():
        raise LuminaError(f"{folder} exists already; choose another name or another folder")
    with atomic_folder(folder) as temporary:
        for source in sorted(path for path in template.rglob("*") if path.is_file()):
            if "__pycache__" in source.parts:
                continue
            target = temporary / _renamed(source.relative_to(template).as_posix(), name)
            target.parent.mkdir(parents=True, exist_ok=True)
            text = source.read_text(encoding="utf-8")
            target.write_text(_renamed(text, name), encoding="utf-8")
    return folder


def next_commands(name: str, folder: Path) -> list[str]:
    """What an author types next."""
    return [
        f"python -m pip install -e {quote(f'{folder}' if folder.is_absolute() else f'./{folder}')}",
        command_line("doctor", name, "--contract"),
        command_line("train", f"+modality={name}", f"out=outputs/{name}"),
    ]


def check_name(name: str) -> None:
    """Refuse what cannot be the name of a new modality.

    Raises:
        LuminaError: says why.
    """
    if not _NAME.fullmatch(name) or keyword.iskeyword(name) or len(name) > MAX_NAME:
        raise LuminaError(
            f"{name!r} cannot be the name of a modality; use 1 to {MAX_NAME} lower-case letters, "
            "digits and underscores, a letter first, no underscore last, and no word of Python"
        )
    if name in _RESERVED:
        raise LuminaError(
            f"the name {name!r} is taken by the core or by a module of every new package; choose "
            "another"
        )
    for plugin in host.discover():
        if plugin.name == name:
            raise LuminaError(
                f"a modality {name!r} is installed already ({plugin.package} {plugin.version}); "
                f"choose another name, or pip uninstall {plugin.package}"
            )


def _renamed(text: str, name: str) -> str:
    words = {
        f"lumina-{PLACEHOLDER}": f"lumina-{name.replace('_', '-')}",
        PLACEHOLDER: name,
        PLACEHOLDER.capitalize(): "".join(part.capitalize() for part in name.split("_")),
    }
    return re.sub("|".join(words), lambda match: words[match[0]], text)
