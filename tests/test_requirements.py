"""What the core and the plugins import is what they declare in their setup.cfg."""

import ast
import configparser
import sys
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import lumina_core

ROOT = Path(__file__).parent.parent
PLUGINS = sorted(path.parent for path in ROOT.glob("plugins/*/setup.cfg"))
HANDED_OUT = {"omegaconf": "hydra-core", "pyyaml": "hydra-core", "tokenizers": "transformers"}
"""Packages that a declared one needs itself, and whose objects it gives to its callers."""


def imports(path, *, everywhere=True):
    """Each module that a file imports, `from a import b` as `a` and `a.b`."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree) if everywhere else tree.body:
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@cache
def distributions():
    return metadata.packages_distributions()


def packages_of(modules):
    """The distributions of third-party modules; a module that is not installed by its name."""
    tops = {name.partition(".")[0] for name in modules}
    others = {top for top in tops if top not in sys.stdlib_module_names and "lumina_" not in top}
    return {canonicalize_name(distributions().get(top, [top])[0]) for top in others}


def declared(folder, extras=()):
    """Names of the required distributions, those of some extras included."""
    parser = configparser.ConfigParser()
    parser.read(folder / "setup.cfg")
    texts = [parser["options"]["install_requires"]]
    texts += [parser["options.extras_require"][extra] for extra in extras]
    lines = [line for text in texts for line in text.splitlines() if line.strip(" ")]
    found = [Requirement(line) for line in lines if not line.startswith("#")]
    return {canonicalize_name(each.name): each for each in found}


def all_extras():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return list(parser["options.extras_require"])


def home(module):
    """The file of a module of the core; of a name that lumina_core exports, that of its module."""
    first, _, rest = module.partition(".")
    if first != "lumina_core" or not rest:
        return None
    place = ROOT / "lumina_core" / lumina_core._HOME.get(rest, rest).replace(".", "/")
    return next((p for p in (place.with_suffix(".py"), place / "__init__.py") if p.is_file()), None)


def reached(modules):
    """The files of the core that are imported together with these modules."""
    found, waiting = set(), [home(module) for module in modules]
    while waiting:
        path = waiting.pop()
        if path is not None and path not in found:
            found.add(path)
            waiting += [home(module) for module in imports(path, everywhere=False)]
    return found


def undeclared(packages, requirements):
    return {name for name in packages if HANDED_OUT.get(name, name) not in requirements}


def test_the_core_declares_what_it_imports():
    modules = {module for path in ROOT.glob("lumina_core/**/*.py") for module in imports(path)}
    assert undeclared(packages_of(modules), declared(ROOT, all_extras())) == set()


@pytest.mark.parametrize("folder", PLUGINS, ids=lambda folder: folder.name)
def test_a_plugin_declares_what_it_imports(folder):
    core = declared(folder)["lumina-core"]
    of_core = declared(ROOT, core.extras)  # with it these come in any case
    assert any(each.operator == "<" for each in core.specifier)
    paths = list(folder.glob("lumina_*/**/*.py"))
    modules = {module for path in paths for module in imports(path)}
    assert undeclared(packages_of(modules), declared(folder) | of_core) == set()
    with_it = {module for path in reached(modules) for module in imports(path)}
    assert undeclared(packages_of(with_it), of_core) == set()
