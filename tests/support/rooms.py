"""The rooms of the core from the ground up, and what each may import; docs/inside shows the table.

A room is a folder of `lumina_core`, or a file that stands alone: a leaf. `errors` may be imported
everywhere. A room opens with a docstring in its `__init__`: what is in it.
"""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
CORE = ROOT / "lumina_core"
LEAVES = "errors program terminal records hub_cache fetching hub runtime sequence modality"
ROOMS = {
    "errors": "",
    "program": "",
    "terminal": "",
    "records": "program",
    "files": "terminal program",
    "hub_cache": "files",
    "fetching": "terminal files hub_cache",
    "hub": "files hub_cache fetching",
    "runtime": "",
    "sequence": "",
    "modality": "sequence",
    "parallel": "terminal records runtime",
    "flow": "records",
    "backbone": "records sequence parallel",
    "text": "terminal records files hub runtime",
    "media": "terminal files runtime sequence modality",
    "autoencoder": "files runtime modality media plugins",
    "plugins": "program records files sequence modality",
    "config": "program records files plugins",
    "checkpoints": "program terminal records files parallel flow hub_cache fetching hub modality "
    "backbone text autoencoder plugins",
    "data": "program terminal records files runtime parallel sequence modality media autoencoder "
    "text plugins config",
    "sampling": "program terminal records files hub runtime sequence modality flow backbone text "
    "media plugins config checkpoints",
    "evaluation": "terminal records files runtime modality media plugins config checkpoints "
    "sampling data",
}
"""By its name, what a room imports beside itself."""
ROOMS["server"] = (
    "terminal records files modality flow media plugins config checkpoints sampling runtime"
)
ROOMS["training"] = " ".join(ROOMS)
ROOMS["testing"] = ROOMS["cli"] = " ".join(ROOMS)
ROOMS["cli"] += " testing"


def modules(core: Path) -> dict[str, Path]:
    """Every module of a core by its name below `lumina_core`, templates and the package aside."""
    found = {}
    for path in sorted(core.rglob("*.py")):
        if "templates" not in path.parts and path.parent / path.name != core / "__init__.py":
            name = ".".join(path.relative_to(core).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path
    del found["__main__"]  # starts cli.main
    return found


def imported(core: Path) -> dict[str, set[str]]:
    """By module, those of the core that it imports anywhere, inside functions included."""
    known = modules(core)
    return {name: set(_imports(path, known)) - {name} for name, path in known.items()}


def _imports(path: Path, known: Mapping[str, Path]) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith("lumina_core."):
            base = f"{node.module}.".removeprefix("lumina_core.")
            for alias in node.names:
                full = base + alias.name
                if target := full if full in known else base.removesuffix("."):
                    yield target
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name.startswith("lumina_core.")]
            yield from (name.removeprefix("lumina_core.") for name in names)


def upward(core: Path) -> list[str]:
    """Imports that the table does not allow."""
    return [
        f"{name} imports {target}"
        for name, targets in imported(core).items()
        for target in sorted(targets)
        if _room(target) not in {_room(name), "errors", *ROOMS[_room(name)].split()}
    ]


def _room(module: str) -> str:
    return module.partition(".")[0]
