"""Ctrl-C says in one line what is left and which command goes on, and that command does."""

import pytest

from lumina_core.cli.main import main
from lumina_core.evaluation import oracle
from lumina_core.sampling import generate
from lumina_core.training import train_vae


@pytest.fixture
def interrupted(capsys):
    """Run words in which one function's call after `count` good ones is a Ctrl-C; give the line."""

    def line(owner, name, count, words):
        real = getattr(owner, name)
        calls = []

        def function(*args, **more):
            calls.append(name)
            if len(calls) > count:
                raise KeyboardInterrupt
            return real(*args, **more)

        capsys.readouterr()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(owner, name, function)
            assert main(words) == 130
        return capsys.readouterr().err.splitlines()[-1]

    return line


@pytest.mark.parametrize("out", ["out=many", "out=many/a.png"])
def test_samples_that_are_missing_are_made_by_the_named_seeds(ask, work, interrupted, out):
    words = ask("a red circle", "num_samples=4", "seed=5", out)
    line = interrupted(generate.Generated, "save", 2, words)
    assert line.startswith("interrupted after 2 of 4 files; ")
    rest = line.rpartition("command with ")[2].split()
    assert rest == ["seed=7", "num_samples=2"]
    assert main(ask("a red circle", out, *rest)) == 0
    made = {path.stem.rpartition("-")[2] for path in (work / "many").glob("*-s?.png")}
    assert made == {"s5", "s6", "s7", "s8"}


def test_before_the_first_file_the_same_command_is_given_again(ask, work, interrupted):
    words = ask("a red circle", "out=a.png")
    line = interrupted(generate.Generated, "save", 0, words)
    assert line == "interrupted before a file was written; give the same command again"
    assert list(work.iterdir()) == []
    assert main(words) == 0


def test_a_file_of_prompts_goes_on_with_the_same_command(ask, work, interrupted, capsys):
    (work / "prompts.txt").write_text("a red circle\na blue square\na green star\n")
    words = ask("prompt_file=prompts.txt", "out=many")
    line = interrupted(generate.Generated, "save", 1, words)
    assert line == "interrupted after 1 of 3 files; the same command makes the others"
    assert main(words) == 0
    assert "skipped 1 of 3 files" in capsys.readouterr().err


def test_what_is_written_at_the_end_leaves_nothing(at_checkpoint, work, interrupted):
    words = ["evaluate", *at_checkpoint, "num_prompts=2", "splits=held_out", "solver.num_steps=1"]
    line = interrupted(oracle, "describe", 1, [*words, "out=report"])
    assert line.endswith("nothing is kept, the same command begins anew")
    words = [
        "train-vae",
        "+modality=image",
        "max_steps=3",
        "batch_size=1",
        "block_channels=[8,8]",
        "out=vae",
    ]
    line = interrupted(train_vae, "autoencoder_loss", 1, words)
    assert line == "interrupted before its end; nothing is kept, the same command begins anew"
    assert list(work.iterdir()) == []
