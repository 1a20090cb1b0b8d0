"""The source of a plugin as trees, and what it takes from which module."""

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path

from lumina_core.testing.verdicts import BrokenRuleError

IMPORTERS = ("import_module", "__import__")
_CORE = "lumina_core"

Import = tuple[str, list[str]]
"""A module and the names that are taken from it."""


def parsed(path: Path) -> ast.Module:
    """The tree of a file.

    Raises:
        BrokenRuleError: it is no Python.
    """
    try:
        return ast.parse(path.read_bytes(), filename=str(path))  # bytes may name their encoding
    except SyntaxError as error:
        raise BrokenRuleError(
            f"{path.name}, line {error.lineno}: {error.msg}; make it Python, or delete the file"
        ) from error


def imports_below(folder: Path, public: Sequence[str]) -> Iterator[tuple[str, str, list[str]]]:
    """File, module and names of every import below a folder, and of attributes of the core.

    Args:
        folder: of a plugin's modules.
        public: modules of the core whose attributes are looked at, beside its own.
    """
    for path in sorted(folder.rglob("*.py")):
        tree = parsed(path)
        aliases = {
            alias.asname or _CORE: alias.name if alias.asname else _CORE
            for node in ast.walk(tree)
            if isinstance(node, ast.Import)
            for alias in node.names
            if alias.name.partition(".")[0] == _CORE
        }
        for node in ast.walk(tree):
            for module, names in _imports_of(node, aliases, public):
                yield path.name, module, names


def _imports_of(node: ast.AST, aliases: dict[str, str], public: Sequence[str]) -> Iterator[Import]:
    if isinstance(node, ast.ImportFrom) and node.level == 0:
        yield str(node.module), [alias.name for alias in node.names]
    elif isinstance(node, ast.Import):
        yield from ((alias.name, []) for alias in node.names)
    elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(IMPORTERS):
        for word in node.args[:1]:
            if isinstance(word, ast.Constant) and isinstance(word.value, str):
                yield word.value, []
    elif isinstance(node, ast.Attribute):
        top, _, rest = ast.unparse(node).partition(".")
        if top in aliases:
            module, _, name = f"{aliases[top]}.{rest}".rpartition(".")
            if module in (_CORE, *public):  # what belongs to a name is the name's own
                yield module, [name]
