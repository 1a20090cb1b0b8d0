"""Rules about a plugin's package: what it declares, what it ships, what it imports."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import lumina_core
from lumina_core import host
from lumina_core.keys import modality_keys, unit_and_meaning
from lumina_core.modality import PLUGIN_API
from lumina_core.testing.contract import demand, rule
from lumina_core.testing.subject import Subject

HEAVY = (
    *("torch", "numpy", "scipy", "PIL", "hydra", "omegaconf", "transformers", "diffusers"),
    *("einops", "jaxtyping", "safetensors"),
)
MAX_IMPORT_SECONDS = 0.5  # of CPU time, beyond lumina_core and pluggy
PUBLIC_MODULES = (
    "lumina_core.autoencoder",
    "lumina_core.captions",
    "lumina_core.clips",
    "lumina_core.frames",
    "lumina_core.media_files",
    "lumina_core.shapes",
)
"""What a plugin may import beside the names of `lumina_core` itself."""
IGNORED = ("__pycache__",)
IMPORTERS = ("import_module", "__import__")

_IMPORT = """
import json, sys, time
import pluggy, lumina_core.hookspecs, lumina_core.errors
before = set(sys.modules)
started = time.process_time()
import {module}
seconds = time.process_time() - started
new = sorted({{name.partition(".")[0] for name in set(sys.modules) - before}})
print(json.dumps([seconds, new]))
"""


@rule
def entry_module_is_light(subject: Subject) -> None:
    """The module of the entry point imports nothing heavy, in at most half a second of CPU time."""
    seconds, modules = _imported(subject.plugin.value)
    heavy = [name for name in HEAVY if name in modules]
    demand(
        not heavy,
        f"importing {subject.plugin.value} imports {', '.join(heavy)}",
        "name classes as 'module:attribute' in ModalitySpec and import them where they are used",
    )
    demand(
        seconds <= MAX_IMPORT_SECONDS,
        f"importing {subject.plugin.value} took {seconds:.2f} s of CPU time",
        "move what it does there into the modules that the spec names",
    )


@rule
def options_are_light(subject: Subject) -> None:
    """The modules of the options and of the condition import no torch, so that help is quick."""
    spec = host.load(subject.name)
    for path in (spec.options, spec.condition):
        if path is not None:
            module = path.partition(":")[0]
            modules = _imported(module)[1]
            heavy = [name for name in HEAVY if name in modules]
            demand(
                not heavy,
                f"importing {module} imports {', '.join(heavy)}",
                "keep the dataclass in a module that imports only lumina_core",
            )


@rule
def core_version_is_bounded(subject: Subject) -> None:
    """The package requires lumina-core with an upper bound, so that pip keeps them in step."""
    wanted = [
        line
        for line in subject.distribution.requires or []
        if re.match(r"lumina[-_.]core\b", line, re.IGNORECASE) and "extra ==" not in line
    ]
    demand(
        wanted,
        f"{subject.plugin.package} does not require lumina-core",
        "add lumina-core>=0.1,<0.2 to its install_requires",
    )
    demand(
        any(re.search(r"<|==|~=", line) for line in wanted),
        f"{subject.plugin.package} requires {wanted[0]} without an upper bound",
        "write lumina-core>=0.1,<0.2",
    )


@rule
def api_is_a_literal(subject: Subject) -> None:
    """The spec names the plugin API that it was written for by two numbers of its own."""
    spec = host.load(subject.name)
    file = find_spec(subject.plugin.value.partition(":")[0])
    source = Path(str(file.origin)).read_text(encoding="utf-8") if file else ""
    demand(
        "PLUGIN_API" not in source,
        f"{subject.plugin.value} takes lumina_core's own PLUGIN_API, so it fits any core",
        f"write api={spec.api}",
    )
    demand(
        spec.api[0] == PLUGIN_API[0],
        f"the spec names plugin API {spec.api}",
        f"this core has {PLUGIN_API}; adapt the plugin and name it",
    )


@rule
def summary_is_one_line(subject: Subject) -> None:
    """The spec and the package each have a summary of one line that says what comes out."""
    for where, text in (
        ("the spec", host.load(subject.name).summary),
        ("the package", subject.plugin.summary),
    ):
        is_line = isinstance(text, str) and len(text) <= 200 and len(text.split()) > 1
        demand(
            is_line and text.isprintable(),
            f"the summary of {where} is {text!r}",
            "write one line of some words, at most 200 characters",
        )


@rule
def yaml_is_shipped(subject: Subject) -> None:
    """The installed package holds conf/modality/NAME.yaml."""
    name = f"{subject.top_package}/conf/modality/{subject.name}.yaml"
    files = {str(path) for path in subject.distribution.files or []}
    is_installed = any(path.startswith(f"{subject.top_package}/") for path in files)
    is_there = (subject.source / "conf" / "modality" / f"{subject.name}.yaml").is_file()
    demand(
        is_there and (name in files or not is_installed),
        f"{name} is not among the files of {subject.plugin.package}",
        "list conf/modality/*.yaml in package_data",
    )


@rule
def yaml_explains_every_option(subject: Subject) -> None:
    """Beside each option in the YAML stands a comment that says what it means."""
    path = subject.source / "conf" / "modality" / f"{subject.name}.yaml"
    for key in modality_keys(path):
        if key.default and key.name.startswith(("modality.", "condition.")):
            demand(
                unit_and_meaning(key.meaning)[1],
                f"{key.name} in {path.name} has no comment that says what it means",
                "write behind it, after #, its [unit] and what it means: help is made of that",
            )


@rule
def conf_holds_what_is_read(subject: Subject) -> None:
    """The conf folder holds the modality's own YAML and descriptions of autoencoders, no others."""
    conf = subject.source / "conf"
    allowed = {f"modality/{subject.name}.yaml"}
    for path in sorted(conf.rglob("*")):
        name = path.relative_to(conf).as_posix()
        is_known = name in allowed or path.match("conf/vae/*.yaml")
        demand(
            path.is_dir() or is_known or set(path.parts) & set(IGNORED),
            f"nothing reads conf/{name}",
            "delete it, or rename it to conf/modality/NAME.yaml",
        )


@rule
def only_public_names_are_imported(subject: Subject) -> None:
    """The plugin imports public names of lumina_core, and no other plugin."""
    others = {
        plugin.value.partition(":")[0].partition(".")[0]
        for plugin in host.discover()
        if plugin.value.partition(":")[0].partition(".")[0] != subject.top_package
    }
    for path, module, names in _imports(subject.source):
        top = module.partition(".")[0]
        demand(
            top not in others,
            f"{path} imports {module} of another plugin",
            "what two plugins share belongs into the core or into a package of its own",
        )
        private = [name for name in names if name not in lumina_core.__all__]
        demand(
            module != "lumina_core" or not private,
            f"{path} imports {', '.join(private)} from lumina_core",
            f"its public names are {', '.join(lumina_core.__all__)}",
        )
        is_public = module.startswith(PUBLIC_MODULES)
        demand(
            top != "lumina_core" or module == "lumina_core" or is_public,
            f"{path} imports {module}",
            f"public are lumina_core itself and {', '.join(PUBLIC_MODULES)}",
        )


def _imported(module: str) -> tuple[float, list[str]]:
    """CPU seconds of an import in a process of its own, and the packages that it brought."""
    code = _IMPORT.format(module=module.partition(":")[0])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    demand(done.returncode == 0, f"{module} cannot be imported: {done.stderr[-300:]}", "mend it")
    seconds, modules = json.loads(done.stdout.splitlines()[-1])
    return float(seconds), list(modules)


def _imports(folder: Path) -> Iterator[tuple[str, str, list[str]]]:
    """File, module and names of every import below a folder."""
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                yield path.name, str(node.module), [alias.name for alias in node.names]
            elif isinstance(node, ast.Import):
                yield from ((path.name, alias.name, []) for alias in node.names)
            elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(IMPORTERS):
                for word in node.args[:1]:
                    if isinstance(word, ast.Constant) and isinstance(word.value, str):
                        yield path.name, word.value, []
