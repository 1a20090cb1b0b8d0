"""What the code may cost: repeated lines, lines of the core, defaults of settings, doubts."""

import ast
from collections import Counter

import pytest
from doc_pages import CORE, ROOT, num_code_lines

from lumina_core.data.source import Source
from lumina_core.modality import VAE, Decoder, Modality, Tokenizer, World, members

NO_PRODUCT = ("templates", "testing")
"""Folders of the core: what a user gets as a start, and the contract as rules."""
MAX_CODE_LINES = 29_707
LONG = 40  # characters of a line, without the spaces around it
MAX_REPEATED = 0.02  # share of the long lines that stand in another file, too
SETTINGS = frozenset(
    ("config", "settings", "options", "condition", "values", "request", "stored", "manifest")
)
"""What a mapping of settings is called: of a record, a request inside a file or a checkpoint."""
PACKAGED = frozenset(
    ("made", "options", "token_dim", "solver", "prepare", "inputs", "output", "velocity")
)
MEMBERS = frozenset().union(*map(members, (Modality, Tokenizer, VAE, Decoder, World)))


def code_of(folder):
    """The text of each Python file below a folder, templates left out."""
    paths = sorted(folder.glob("**/*.py"))
    return {path: path.read_text() for path in paths if "templates" not in path.parts}


@pytest.fixture(scope="module")
def code():
    """The core with its contract, and the packages of the plugins."""
    packages = sorted(ROOT.glob("plugins/*/lumina_*"))
    return {path: text for folder in (CORE, *packages) for path, text in code_of(folder).items()}


def lines_below(tree, kinds):
    """The numbers of the lines on which nodes of these kinds stand."""
    return {
        line
        for node in ast.walk(tree)
        if isinstance(node, kinds)
        for line in range(node.lineno, node.end_lineno + 1)
    }


def long_lines(text):
    """The long lines of a file without the spaces around them.

    No imports, no comments, and no first lines of methods that every source of samples or every
    network of a package must have.
    """
    tree = ast.parse(text)
    left_out = lines_below(tree, (ast.Import, ast.ImportFrom))
    methods = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
    for node in methods:
        if node.name in Source.__abstractmethods__ | PACKAGED:
            left_out |= {node.lineno, *range(node.lineno, node.body[0].lineno)}
    lines = ((number, line.strip()) for number, line in enumerate(text.splitlines(), 1))
    return [
        line
        for number, line in lines
        if len(line) >= LONG and not line.startswith("#") and number not in left_out
    ]


def repeated(texts):
    """The share of the long lines that stand in another file, too, and these lines."""
    by_file = [long_lines(text) for text in texts]
    num_files = Counter(line for lines in by_file for line in set(lines))
    found = [line for lines in by_file for line in lines if num_files[line] > 1]
    return len(found) / max(1, sum(map(len, by_file))), Counter(found)


def defaults_of_settings(text):
    """The calls of `.get(key, default)` on something that is called as settings are."""
    return [
        ast.unparse(node)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "get"
        and len(node.args) + len(node.keywords) > 1
        and SETTINGS & set(names_in(node.func.value))
    ]


def names_in(expression):
    """The names of which an expression takes parts: `a.b["c"]` has a and b."""
    for node in ast.walk(expression):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr


def test_long_lines_hardly_stand_in_two_files(code):
    share, lines = repeated(code.values())
    assert share <= MAX_REPEATED, lines.most_common(20)


def test_repeated_lines_are_those_of_another_file():
    line, other = "x" * LONG, "y" * LONG
    assert repeated([f"{line}\n{line}\n", f"{other}\n"]) == (0, {})
    texts = [f"{line}\n{line}\n", f"if {other}:\n    {line}\n"]
    assert repeated(texts) == (0.75, {line: 3})
    assert repeated([f"{line[1:]}\n# {line}\nimport {line}"] * 2) == (0, {})
    assert repeated([f"def num_positions(self, {line}): ..."] * 2) == (0, {})
    assert repeated([f"def other(self, {line}): ..."] * 2)[0] == 1


def test_core_stays_small(code):
    paths = (path for path in code if path.is_relative_to(CORE))
    product = [path for path in paths if not set(NO_PRODUCT) & set(path.parts)]
    assert len(product) > 50
    assert sum(num_code_lines(code[path]) for path in product) <= MAX_CODE_LINES


def test_lines_of_code_hold_no_docstring_and_no_comment():
    text = '"""What it is.\n\nAnd more.\n"""\n\n# why\nx = (\n    1,  # one\n)\n'
    assert num_code_lines(text) == 3


def test_settings_have_their_defaults_in_records(code):
    found = {path.name: defaults_of_settings(text) for path, text in code.items()}
    assert not {name: calls for name, calls in found.items() if calls}


def test_defaults_of_settings_are_found():
    kept = "config['a']; config.get('a'); names.get('a', 1)"
    assert defaults_of_settings(kept) == []
    lost = "self.config.get('a', 1); manifest['b'].get('c', {}); options.get('d', default=None)"
    assert len(defaults_of_settings(lost)) == 3


def members_asked_for(text):
    """The members of the contract that a file asks for, instead of relying on their defaults."""
    found = []
    for node in ast.walk(ast.parse(text)):
        is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        if is_call and (node.func.id, len(node.args)) in (("hasattr", 2), ("getattr", 3)):
            name = node.args[1]
            is_other = isinstance(name, ast.Constant) and name.value not in MEMBERS
            if not is_other and (node.func.id == "hasattr" or isinstance(name, ast.Constant)):
                found.append(ast.unparse(node))
    return found


def test_nothing_asks_whether_a_part_has_a_member(code):
    found = {path.name: members_asked_for(text) for path, text in code.items()}
    assert not {name: asked for name, asked in found.items() if asked}


def test_what_asks_for_a_member_is_found():
    asked = ["hasattr(modality, 'coarser')", "hasattr(part, name)", "getattr(x, 'folder', None)"]
    kept = ["hasattr(value, '__html__')", "getattr(x, 'text', None)", "getattr(x, name, None)"]
    assert members_asked_for("\n".join(asked + kept)) == asked
