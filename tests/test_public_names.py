"""What modality plugins may import."""

import ast
from pathlib import Path

import pytest

import lumina_core

PLUGINS = Path(__file__).parent.parent / "plugins"
PUBLIC = (
    "lumina_core.autoencoder",
    "lumina_core.captions",
    "lumina_core.clips",
    "lumina_core.frames",
    "lumina_core.media_files",
    "lumina_core.shapes",
)
MODULES = sorted(PLUGINS.glob("*/lumina_*/**/*.py"))


def imports(path):
    """Each module that a file imports, and the names that it takes from it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module, [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from ((alias.name, []) for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_plugins_import_public_names_and_no_other_plugin(path):
    own = path.relative_to(PLUGINS).parts[1]
    for module, names in imports(path):
        if module == "lumina_core":
            assert set(names) <= set(lumina_core.__all__)
        elif module.startswith("lumina_"):
            assert module.startswith(PUBLIC) or module.split(".")[0] == own


def test_every_public_name_is_there():
    assert len(MODULES) > 10
    for name in lumina_core.__all__:
        assert getattr(lumina_core, name) is not None
