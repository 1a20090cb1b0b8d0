"""Rules about a plugin's package: what it declares, what it ships, what it imports."""

import ast
import dataclasses
import json
import subprocess
import sys
from collections.abc import Iterator

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import lumina_core
from lumina_core.config.keys import modality_keys
from lumina_core.errors import MAX_REASON, LuminaError, printable
from lumina_core.modality import ModalitySpec
from lumina_core.plugins import host
from lumina_core.plugins.entry_points import MODALITY_NAME
from lumina_core.plugins.yaml_files import LABELS, MODELS
from lumina_core.sampling.model_file import check_model_file
from lumina_core.testing.rules import rule
from lumina_core.testing.source import imports_below, parsed
from lumina_core.testing.subject import Subject
from lumina_core.testing.verdicts import demand

HEAVY = (
    *("torch", "numpy", "scipy", "PIL", "hydra", "omegaconf", "transformers", "diffusers"),
    *("einops", "jaxtyping", "safetensors"),
)
MAX_IMPORT_SECONDS = 0.5  # of CPU time, beyond lumina_core and pluggy
PUBLIC_MODULES = (
    "lumina_core.autoencoder.networks",
    "lumina_core.media.worlds.caption_worlds",
    "lumina_core.media.worlds.captions",
    "lumina_core.media.clips",
    "lumina_core.media.file_names",
    "lumina_core.media.fitting",
    "lumina_core.media.pixels",
    "lumina_core.media.worlds.lexicon",
    "lumina_core.media.containers",
    "lumina_core.media.pictures",
    "lumina_core.media.png_checksums",
    "lumina_core.media.worlds",
    "lumina_core.terminal",
)
"""What a plugin may import beside the names of `lumina_core` itself."""
READ = ("conf/vae/*.yaml", f"{MODELS}/*.yaml", f"{LABELS}/*.txt")
"""What the core reads in a conf folder beside the modality's YAML."""

IGNORED = ("__pycache__",)
UPPER_BOUNDS = ("<", "<=", "==", "===", "~=")
SPEC_FIELDS = tuple(field.name for field in dataclasses.fields(ModalitySpec))

_IMPORT = """
import json, sys, time
import pluggy, lumina_core.plugins.hookspecs, lumina_core.errors
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
    requirements = [Requirement(line) for line in subject.distribution.requires or []]
    wanted = [
        each
        for each in requirements
        if canonicalize_name(each.name) == "lumina-core"
        and (each.marker is None or each.marker.evaluate({"extra": ""}))
    ]
    demand(
        wanted,
        f"{subject.plugin.package} does not require lumina-core",
        "add lumina-core>=0.1,<0.2 to its install_requires",
    )
    demand(
        any(each.operator in UPPER_BOUNDS for one in wanted for each in one.specifier),
        f"{subject.plugin.package} requires {wanted[0]} without an upper bound",
        "write lumina-core>=0.1,<0.2",
    )


@rule
def api_is_a_literal(subject: Subject) -> None:
    """The spec names the plugin API that it was written for by two numbers of its own."""
    found = [
        value for path in sorted(subject.source.rglob("*.py")) for value in _spec_apis(parsed(path))
    ]
    demand(
        found and all(_is_literal(value) for value in found),
        f"api of the spec is {', '.join(map(ast.unparse, found)) or 'not written as a word'}, so "
        "that another core may change it",
        f"write api={host.load(subject.name).api} in ModalitySpec(...)",
    )


@rule
def summary_is_one_line(subject: Subject) -> None:
    """The package has a summary of one line that says what comes out."""
    text = subject.plugin.summary
    demand(
        len(text) <= 200 and len(text.split()) > 1,
        f"the summary of the package is {text!r}",
        "write one line of some words, at most 200 characters",
    )


@rule
def every_option_is_explained(subject: Subject) -> None:
    """Each option, and what may be given beside a prompt, says what it means."""
    for key in modality_keys(subject.name):
        demand(
            key.about.meaning.strip(),
            f"{key.name} does not say what it means",
            "write its meaning as the second argument of setting(...): help is made of that",
        )


@rule
def conf_holds_what_is_read(subject: Subject) -> None:
    """The conf folder holds the modality's YAML, those of autoencoders and models, and labels."""
    conf = subject.source / "conf"
    allowed = {f"modality/{subject.name}.yaml"}
    for path in sorted(conf.rglob("*")):
        name = path.relative_to(conf).as_posix()
        is_known = name in allowed or any(map(path.match, READ))
        demand(
            path.is_dir() or is_known or set(path.parts) & set(IGNORED),
            f"nothing reads conf/{name}",
            "delete it, or rename it to conf/modality/NAME.yaml",
        )


@rule
def models_are_described(subject: Subject) -> None:
    """The description of each named model is whole, and the modality takes what it says."""
    for path in sorted((subject.source / MODELS).glob("*.yaml")):
        name = f"{MODELS}/{path.name}"
        demand(
            MODALITY_NAME.fullmatch(path.stem),
            f"the name of {name} cannot be written as checkpoint=NAME",
            "use lower-case letters, digits and underscores",
        )
        try:
            check_model_file(path)
        except LuminaError as error:
            reason = printable(str(error).removeprefix(f"{path}: "), MAX_REASON)
            demand(False, f"{name}: {reason}", "mend that key of the file")


@rule
def only_public_names_are_imported(subject: Subject) -> None:
    """The plugin imports public names of lumina_core, and no other plugin."""
    others = {
        plugin.value.partition(":")[0].partition(".")[0]
        for plugin in host.discover()
        if plugin.value.partition(":")[0].partition(".")[0] != subject.top_package
    }
    for path, module, names in imports_below(subject.source, PUBLIC_MODULES):
        top = module.partition(".")[0]
        demand(
            top not in others,
            f"{path} imports {module} of another plugin",
            "what two plugins share belongs into the core or into a package of its own",
        )
        if top != "lumina_core":
            continue
        private = [name for name in names if not _is_public(module, name)]
        demand(
            not private,
            f"{path} takes {', '.join(private)} from {module}",
            f"public are {', '.join(lumina_core.__all__)} of lumina_core, and names without _ of "
            f"{', '.join(PUBLIC_MODULES)}",
        )
        demand(
            module == "lumina_core" or module.startswith(PUBLIC_MODULES),
            f"{path} imports {module}",
            f"public are lumina_core itself and {', '.join(PUBLIC_MODULES)}",
        )


def _is_public(module: str, name: str) -> bool:
    if module == "lumina_core":
        within = f"lumina_core.{name}."
        is_room = any(f"{each}.".startswith(within) for each in PUBLIC_MODULES)
        return name in lumina_core.__all__ or is_room
    return not name.startswith("_")


def _spec_apis(tree: ast.Module) -> Iterator[ast.expr]:
    """What is given as `api` wherever a file makes a spec; a name stands for what it is set to."""
    named = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("ModalitySpec"):
            words = {word.arg: word.value for word in node.keywords}
            fields = dict(zip(SPEC_FIELDS, node.args, strict=False))
            value = (fields | words).get("api")
            if value is not None:
                yield named.get(value.id, value) if isinstance(value, ast.Name) else value


def _is_literal(value: ast.expr) -> bool:
    try:
        return isinstance(ast.literal_eval(value), tuple)
    except ValueError:
        return False


def _imported(module: str) -> tuple[float, list[str]]:
    """CPU seconds of an import in a process of its own, and the packages that it brought."""
    code = _IMPORT.format(module=module.partition(":")[0])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = printable(done.stderr.strip().rpartition("\n")[2], MAX_REASON)
        demand(
            False, f"a new process cannot import {module}: {last}", "let it need no other import"
        )
    seconds, modules = json.loads(done.stdout.splitlines()[-1])
    return float(seconds), list(modules)
