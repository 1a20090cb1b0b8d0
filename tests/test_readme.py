"""README is short and shows pictures; examples that start from a file show what they say."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from doc_pages import DOCS, ROOT

from lumina_core.checkpoints.vae_folder import find_vae
from lumina_core.cli.commands import CONFIGURED
from lumina_core.cli.main import main
from lumina_core.config.compose import compose_options
from lumina_core.plugins import host
from lumina_core.sampling.file_request import read_request

PROGRAM = re.compile(r"(?:python -m lumina_core|lumina) (?=run |infer )")
GIVEN = re.compile(r"(?:condition\.\w+|repeat|prompt_file)=(?P<path>[^\s\[]*[a-z]{3}[^\s\[]*)")
README = ROOT.joinpath("README.md").read_text()
USED = DOCS.joinpath("use", "making.md").read_text()
COMMANDS = [
    line.partition("  #")[0].strip() for line in re.findall("^    .*", USED, flags=re.MULTILINE)
]
CHECKED = rf"^    (lumina (?:{'|'.join(CONFIGURED)}) .*?)(?: {{2,}}#.*)?$"
FROM_FILES = re.compile(r"checkpoint=|repeat=|resume=|modality.vae=")
UNDERSTOOD = [
    line for line in re.findall(CHECKED, README, re.MULTILINE) if not FROM_FILES.search(line)
]
MAX_LINES = 150  # of README
MAX_PICTURES = 300 << 10  # bytes of the pictures of README and the pages for users
EXAMPLES = [line for line in COMMANDS if " condition." in line]


def maker_of(path, before):
    """The command that makes a file, or the folder in which it is."""
    top = re.escape(path.partition("/")[0])
    made = re.compile(rf"(out=|> |save\('){top}(?![\w.-])")
    return next((line for line in before if made.search(line)), None)


def way_to(line):
    """The commands that lead to one, itself included, in their order."""
    before = COMMANDS[: COMMANDS.index(line)]
    makers = [maker_of(path, before) for path in GIVEN.findall(line)]
    way = [each for maker in makers for each in way_to(maker)]
    return [*dict.fromkeys(way), line]


def test_readme_is_short():
    assert len(README.splitlines()) <= MAX_LINES


@pytest.mark.parametrize("line", UNDERSTOOD)
def test_a_command_of_readme_is_understood(line, capsys):
    _, command, *words = shlex.split(line)
    assert main(["config", command, *words]) == 0, capsys.readouterr().err


def test_readme_shows_a_picture_of_each_modality():
    shown = re.findall(r"!\[[^]]+\]\((docs/pictures/[^)]+)\)", README)
    assert len(shown) >= len(host.SHIPPED)
    assert all(ROOT.joinpath(path).is_file() for path in shown)
    assert sum(path.stat().st_size for path in DOCS.glob("pictures/*")) <= MAX_PICTURES


@pytest.mark.parametrize("line", [line for line in COMMANDS if GIVEN.search(line)])
def test_what_an_example_starts_from_is_made_by_an_example_before(line):
    before = COMMANDS[: COMMANDS.index(line)]
    assert all(maker_of(path, before) for path in GIVEN.findall(line))


def test_there_are_examples_of_every_kind():
    text = " ".join(EXAMPLES)
    for key in ("frames", "view", "sound", "gap", "image", "mask", "offset", "strength"):
        assert f" condition.{key}=" in text


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder in which examples run, and what those that have run have printed."""
    return tmp_path_factory.mktemp("making"), {}


@pytest.mark.demos
@pytest.mark.parametrize("line", EXAMPLES)
def test_an_example_that_starts_from_a_file_shows_what_it_says(line, made, monkeypatch, capsys):
    folder, printed = made
    monkeypatch.chdir(folder)
    for each in way_to(line):
        if each not in printed:
            printed[each] = run(each, capsys)
    path = Path(printed[line].splitlines()[-1])
    request = read_request(path)
    options = compose_options(request["modality"], request["options"])
    vae = find_vae(request["modality"], options.vae, download=False)
    modality = host.modality_class(request["modality"])(options, vae)
    verdict = modality.world.judge(modality.decoder.read(path), request["prompt"], options)
    assert all(verdict.values()), verdict


def run(line, capsys):
    """What a command prints on stdout."""
    words, is_ours = PROGRAM.subn("", line, count=1)
    if not is_ours:
        assert line.startswith("python -c "), f"nothing runs {line!r}"
        command = [sys.executable, *shlex.split(line)[1:]]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout
    capsys.readouterr()
    assert main(shlex.split(words)) == 0, f"{line} failed"
    return capsys.readouterr().out
