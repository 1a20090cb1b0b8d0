"""The public names of the package; that plugins take no others is a rule of the contract."""

import re
from importlib import import_module

from doc_pages import DOCS

import lumina_core
from lumina_core.testing.package import PUBLIC_MODULES


def test_every_public_name_is_there():
    assert len(lumina_core.__all__) > 10
    for name in lumina_core.__all__:
        assert getattr(lumina_core, name) is not None
    for module in PUBLIC_MODULES:
        assert import_module(module).__doc__


def test_every_part_of_the_core_that_the_page_names_is_there():
    text = (DOCS / "use" / "python_api.md").read_text()
    rows = re.findall(r"^\| `(lumina_core[.\w]+)` \| (`\w+`.*?): ", text, re.MULTILINE)
    parts = [(module, name) for module, names in rows for name in re.findall(r"`(\w+)`", names)]
    assert len(parts) > 20
    for module, name in parts:
        part = getattr(import_module(module), name)
        assert part.__module__ == module and part.__doc__, name
