"""The pages of documentation: their code blocks, how each is run, and what of them is generated.

How a block is run follows from its first word and line:
- `python` is executed; the blocks of a page share their names, as one script.
- `python` and `yaml` that begin with a line `# file: PATH` are written there.
- `sh`: each line is a command, run in this process; `shortened` says what is made shorter.
- `text` shows something and is not run. Any other block is refused.

`python tests/support/doc_pages.py write` rewrites the generated parts.
"""

import ast
import io
import re
import shlex
import sys
import tokenize
from pathlib import Path
from typing import NamedTuple

from new_packages import declare
from pytest import MonkeyPatch

from lumina_core.checkpoints.named import use_words
from lumina_core.cli import help
from lumina_core.cli.commands import CONFIGURED
from lumina_core.cli.key_help import effective
from lumina_core.cli.main import main
from lumina_core.cli.models import all_models
from lumina_core.config.keys import record_keys
from lumina_core.config.layers import CORE as CORE_ORIGIN
from lumina_core.plugins import host
from lumina_core.records import as_text
from lumina_core.sampling.compose import DEMO
from lumina_core.terminal import size_text
from lumina_core.testing.report import contract_page
from rooms import CORE, LEAVES, ROOMS, modules

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SHORT_STEPS = 3  # of a training
SHORT_POOL = 32  # samples that a training draws before its first step
SHORT_PROMPTS = 2  # of an evaluation, for each split
_NO_CODE = (
    *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE),
    *(tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER),
)
_FENCE = re.compile(r"^```(?P<word>\w*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"# file: (?P<path>\S+)\n")
_SPAN = re.compile(r"`([^`|]*)[|]([^`|]*)`")
_INSTALL = "python -m pip install -e "
_MODEL_SIZES = ("download", "memory", "memory of its text encoder")
_PROGRAMS = ("python -m lumina_core ", "lumina ")
_GENERATED = re.compile(r"(?<=<!-- generated: )(?P<name>[\w -]+?)( -->\n).*?(?=<!-- end -->)", re.S)


class Block(NamedTuple):
    """One fenced block of a page."""

    word: str
    body: str
    line: int

    @property
    def file(self) -> str | None:
        """Where the block is written."""
        match = _FILE.match(self.body)
        return match["path"] if match else None


def num_code_lines(text: str) -> int:
    """Lines of Python that hold code: no comment, no docstring, nothing blank."""
    told = {
        line
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        for line in range(node.lineno, node.end_lineno + 1)
    }
    held = {
        line
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type not in _NO_CODE
        for line in range(token.start[0], token.end[0] + 1)
    }
    return len(held - told)


def blocks_of(text: str) -> list[Block]:
    return [
        Block(match["word"], match["body"], text.count("\n", 0, match.start()) + 1)
        for match in _FENCE.finditer(text)
    ]


class Page:
    """A page on its way through its blocks, in the current folder."""

    def __init__(self, path: Path, site: Path, monkeypatch: MonkeyPatch) -> None:
        """Prepare a page.

        Args:
            path: of the page.
            site: a folder, for the metadata of packages that the page installs.
            monkeypatch: takes back what is changed in this process.
        """
        self.path = path
        self.site = site
        self.monkeypatch = monkeypatch
        self.names: dict[str, object] = {"__name__": "__main__"}
        self.packages: list[Path] = []

    def run(self, block: Block) -> None:
        if block.file is not None:
            target = Path(block.file)
            assert target.parent.is_dir(), f"{target.parent} is not there"
            target.write_text(block.body)
            return
        if block.word == "python":
            self.forget()
            lines = "\n" * block.line + block.body  # so that a traceback names the page's line
            exec(compile(lines, str(self.path), "exec"), self.names)
        elif block.word == "sh":
            for line in block.body.splitlines():
                self.command(line.partition("  #")[0].strip())
        else:
            assert block.word == "text", f"nothing runs a block of {block.word!r}"

    def command(self, line: str) -> None:
        """Run one line, as a new process would: modules of written packages are read anew."""
        self.forget()
        if line.startswith(_INSTALL):
            folder = Path(line.removeprefix(_INSTALL)).absolute()
            declare(folder, self.site)
            self.packages.append(folder)
            for each in (self.site, folder):
                self.monkeypatch.syspath_prepend(str(each))
                self.monkeypatch.setenv("PYTHONPATH", str(each), prepend=":")
            return
        program = next((each for each in _PROGRAMS if line.startswith(each)), None)
        assert program, f"nothing runs {line!r}"
        words = shortened(shlex.split(line.removeprefix(program)))
        assert main(words) == 0, f"{line} failed"

    def forget(self) -> None:
        """Drop the modules of packages that the page wrote."""
        tops = {path.parent.name for folder in self.packages for path in folder.glob("*/plugin.py")}
        for module in [each for each in sys.modules if each.partition(".")[0] in tops]:
            del sys.modules[module]
        host.forget()


def shortened(words: list[str]) -> list[str]:
    """The words of a command, with fewer steps or prompts where it would take minutes.

    Later words win, so `max_steps`, `data.pool_size` or `num_prompts` is appended and nothing else
    is changed; a checkpoint that a longer training would have written is named by the step of the
    shorter one.
    """
    words = [re.sub(r"step-\d{7}", f"step-{SHORT_STEPS:07d}", word) for word in words]
    if "--help" in words:
        return words
    if words[0] == "train":
        return [*words, f"max_steps={SHORT_STEPS}", f"data.pool_size={SHORT_POOL}"]
    if words[0] == "train-vae":
        return [*words, f"max_steps={SHORT_STEPS}"]
    if words[0] == "evaluate":
        return [*words, f"num_prompts={SHORT_PROMPTS}"]
    return words


def generated_pages() -> dict[Path, str]:
    """Every page that is generated, or has parts that are, as it should be."""
    pages = {DOCS / "authors" / "contract.md": contract_page()}
    for path in (DOCS / "use/cli.md", DOCS / "use/models.md", DOCS / "inside/architecture.md"):
        pages[path] = _GENERATED.sub(
            lambda match: f"{match['name']} -->\n\n{_part(match['name'])}\n", path.read_text()
        )
    return pages


def _part(name: str) -> str:
    """A generated part: the table of commands, or of the keys of one."""
    if name == "commands":
        rows = [
            (f"`{command} {help.USAGES[command]}`".replace(" `", "`"), summary)
            for command, summary in help.SUMMARIES.items()
        ]
        return _table(("command", "does"), rows)
    if name == "rooms":
        return _table(("room", "what is in it", "imports"), _room_rows())
    if name == "commands of models":
        lines = [shlex.join(use_words(*each)) for each in all_models()[0].items()]
        return "".join(["```text\n", *(f"lumina {line}\n" for line in lines), "```\n"])
    if name == "models":
        return _table(("name", "makes", "weights", *_MODEL_SIZES, "licence"), _model_rows())
    kind, _, which = name.partition(" of ")
    if kind == "files":
        return _table(("file", "what it is for"), _file_rows(which))
    if kind == "values":
        return _table(("key", CORE_ORIGIN, *host.SHIPPED), _value_rows(which))
    return _table(("key", "default", "meaning"), _key_rows(which))


def _model_rows() -> list[tuple[str, ...]]:
    rows = []
    for name, model in all_models()[0].items():
        text = size_text(model.text_memory_bytes) if model.text_encoder else ""
        sizes = (size_text(model.num_bytes), size_text(model.memory_bytes), text)
        licence = "; ".join(filter(None, (model.licence.name, model.licence.note, model.convert)))
        weights = f"{model.num_parameters / 10**9:.1f}B"
        rows.append((f"`{name}`", model.meaning, weights, *sizes, licence))
    return rows


def _room_rows() -> list[tuple[str, ...]]:
    rows = []
    above: list[str] = []
    for room, allowed in ROOMS.items():
        is_leaf = room in LEAVES.split()
        path = CORE / (f"{room}.py" if is_leaf else f"{room}/__init__.py")
        names = [each for each in above if each in allowed.split()]
        imports = "all above" if names and names == above else ", ".join(f"`{n}`" for n in names)
        rows.append((f"`{room}.py`" if is_leaf else f"`{room}/`", _first_line(path), imports))
        above.append(room)
    return rows


def _file_rows(room: str) -> list[tuple[str, ...]]:
    found = [path for name, path in modules(CORE).items() if name.startswith(f"{room}.")]
    return [
        (f"`{path.relative_to(CORE).as_posix()}`", _first_line(path))
        for path in found
        if path.name != "__init__.py"
    ]


def _first_line(path: Path) -> str:
    return (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n")[0]


def _key_rows(command: str) -> list[tuple[str, ...]]:
    return [
        (f"`{key.name}`", f"`{as_text(key.default)}`", key.description.replace("<", "\\<"))
        for key in CONFIGURED[command].command.keys  # Markdown takes < for a tag
    ]


def _value_rows(command: str) -> list[tuple[str, ...]]:
    """The keys of the core that a modality or its demo gives another value, and all of these."""
    about = CONFIGURED[command].command
    values = {
        name: {key.name: (as_text(value), origin) for key, value, origin in used}
        for name in host.SHIPPED
        for used in [effective(about, [], name)]
    }
    rows = []
    for key in record_keys(about.record):
        used = [of_modality.get(key.name) for of_modality in values.values()]
        if not key.about.file and any(each and each[1] != CORE_ORIGIN for each in used):
            rows.append((f"`{key.name}`", f"`{as_text(key.default)}`", *map(_value_cell, used)))
    return rows


def _value_cell(used: tuple[str, str] | None) -> str:
    if used is None or used[1] == CORE_ORIGIN:
        return ""
    return f"`{used[0]}`" + " (demo)" * (used[1] == DEMO)


def _table(titles: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [titles, tuple("---" for _ in titles), *rows]
    return "".join(f"| {' | '.join(map(_cell, line))} |\n" for line in lines)


def _cell(text: str) -> str:
    """A cell of a table; of an escaped | in a span of code some programs show the backslash."""
    return _SPAN.sub(r"<code>\1&#124;\2</code>", text).replace("|", "&#124;")


def write() -> None:
    for path, text in generated_pages().items():
        path.write_text(text)


if __name__ == "__main__":
    if sys.argv[1:] != ["write"]:
        sys.exit("usage: python tests/support/doc_pages.py write")
    write()
