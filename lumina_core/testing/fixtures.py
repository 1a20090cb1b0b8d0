"""Fixtures for tests of commands: `pytest_plugins = ["lumina_core.testing.fixtures"]`.

That line stands in the conftest.py beside a plugin's setup.cfg. The commands run in the process of
the tests. pytest imports this file before any test, so nothing heavy is imported above.
"""

import json
from collections.abc import Callable, Iterator
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

SMALL_VOCABULARY = 200  # captions, of a world that does not tell its words
NUM_STEPS = 3

Ask = Callable[..., list[str]]


@cache
def program() -> Callable[[list[str]], int]:
    """The command `lumina`; by its entry point, for the command line stands above this kit."""
    (found,) = entry_points(group="console_scripts", name="lumina")
    main: Callable[[list[str]], int] = found.load()
    return main


def tiny_words() -> list[str]:
    """The words of a training of seconds; words behind them win."""
    from lumina_core.testing.subject import TINY

    more = ("data.pool_size=4", "data.refresh_per_step=1", "log_every=1", f"max_steps={NUM_STEPS}")
    return [*TINY, *more]


@pytest.fixture(scope="session")
def small_vocabulary() -> Iterator[int]:
    """Text encoders learn the words of a few captions; gives the number that they learn else."""
    from lumina_core.data import synthetic

    with pytest.MonkeyPatch.context() as patch:
        usual = synthetic.NUM_VOCABULARY_CAPTIONS
        patch.setattr(synthetic, "NUM_VOCABULARY_CAPTIONS", SMALL_VOCABULARY)
        yield usual


@pytest.fixture(scope="session")
def tiny_checkpoint_of(
    tmp_path_factory: pytest.TempPathFactory, small_vocabulary: int
) -> Callable[..., Path]:
    """Train a modality for three steps: `tiny_checkpoint_of("waves", "modality.patch=4")`.

    The checkpoint is made once for the same words, its training state included: copy it before you
    change it.
    """
    main = program()

    @cache
    def trained(modality: str, *words: str) -> Path:
        out = tmp_path_factory.mktemp("trained") / "run"
        assert main(["train", f"+modality={modality}", f"out={out}", *tiny_words(), *words]) == 0
        return out / "checkpoints" / f"step-{NUM_STEPS:07d}"

    return trained


@pytest.fixture
def make(ask: Ask, capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """Run a request and give its JSON.

    The tests have a fixture `ask`: a function of further words that gives all words of a small
    request, `run` the first of them.
    """
    main = program()

    def result(*words: str) -> dict[str, Any]:
        capsys.readouterr()
        assert main(ask("json=true", *words)) == 0
        printed: dict[str, Any] = json.loads(capsys.readouterr().out)
        return printed

    return result


@pytest.fixture
def refusal(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run the words of a command that are refused and give the one line that says why."""
    main = program()

    def line(*words: str) -> str:
        capsys.readouterr()
        assert main(list(words)) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.startswith("error: ")
        assert captured.err.count("\n") == 1
        return captured.err

    return line


@pytest.fixture
def clean_refusal(refusal: Callable[..., str]) -> Callable[..., str]:
    """Do as `refusal`; nothing may be written in the current folder."""

    def line(*words: str) -> str:
        before = _times(Path.cwd())
        error = refusal(*words)
        assert _times(Path.cwd()) == before
        return error

    return line


@pytest.fixture
def refused(ask: Ask, clean_refusal: Callable[..., str]) -> Callable[..., str]:
    """The line that refuses a request with these further words; `ask` is as for `make`."""
    return lambda *words: clean_refusal(*ask(*words))


def _times(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
