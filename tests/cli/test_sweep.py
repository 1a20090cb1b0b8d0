"""`-m` makes one job of each combination of values."""

import json
import pickle
import sys
from pathlib import Path
from types import ModuleType

import pytest

from lumina_core import LuminaError, errors
from lumina_core.cli import faults
from lumina_core.cli.completion import complete
from lumina_core.cli.main import main

TOYS = ("run", "-m", "+modality=toy")


@pytest.fixture
def sweep(toy, commands, work):
    """Sweep the requests of toys; give the configurations that the jobs came to."""

    def run(*words: str, command: str = "run") -> list:
        assert main([command, "-m", "+modality=toy", *words]) == 0
        return commands

    return run


@pytest.fixture
def job_that(monkeypatch):
    """Let every job of `run` do something with its configuration."""

    def patch(do) -> list:
        done = []

        def command(config) -> int:
            done.append(config.seed)
            return do(config) or 0

        monkeypatch.setattr(sys.modules["lumina_core.sampling.run"], "run_command", command)
        return done

    return patch


def test_a_sweep_makes_files_of_each_combination(ask, work, capsys):
    words = ["seed=1,2", "guidance.scale=1,2", "-m", "a red circle, (left) and 'so'"]
    assert main(ask(*words)) == 0
    captured = capsys.readouterr()
    files = [Path(line) for line in captured.out.splitlines()]
    assert [str(file) for file in files] == [
        f"outputs/sweep-0001/{job}/image-0001-s{seed}.png" for job, seed in enumerate((1, 1, 2, 2))
    ]
    assert "job 3 (seed=2 guidance.scale=2) in outputs/sweep-0001/3\n" in captured.err
    for file, (seed, scale) in zip(files, ((1, 1), (1, 2), (2, 1), (2, 2)), strict=True):
        assert main(["info", str(file), "--json"]) == 0
        request = json.loads(capsys.readouterr().out)
        assert (request["seed"], request["guidance"]["scale"]) == (seed, scale)
        assert request["prompt"] == "a red circle, (left) and 'so'"
    assert main(ask("seed=3,4", "-m", "a ring")) == 0
    assert "outputs/sweep-0002/0/image-0001-s3.png\n" in capsys.readouterr().out


def test_values_of_all_kinds_have_several(sweep):
    words = ("seed=range(3,5)", "solver=heun,rk4", "guidance.interval=[0.0,1.0],[0.2,0.5]")
    found = [
        (each.seed, each.solver.name, each.solver.num_steps, each.guidance.interval)
        for each in sweep(*words, "modality.height=choice(8)", "a cat")
    ]
    assert found == [
        (seed, name, steps, interval)
        for seed in (3, 4)
        for name, steps in (("heun", 15), ("rk4", 8))
        for interval in ((0.0, 1.0), (0.2, 0.5))
    ]


def test_a_group_and_its_keys_are_swept_together(sweep):
    found = sweep("solver=heun,rk4", "solver.num_steps=3,4", "solver.shift=1,2", "a cat")
    assert (
        len({(each.solver.name, each.solver.num_steps, each.solver.shift) for each in found}) == 8
    )


def test_modalities_are_swept(sweep, write_distribution):
    write_distribution("lumina-game", "game")
    found = sweep("modality=toy,game", "modality.height=8,9", "a cat")
    assert [(each.modality, each.options.height) for each in found] == [
        ("toy", 8), ("toy", 9), ("game", 8), ("game", 9),
    ]  # fmt: skip


def test_prompts_and_paths_are_taken_letter_by_letter(toy, commands, work):
    texts = "a, b (c) 'd' ${x} {y}"
    words = [f"negative_prompt={texts}", f"checkpoint={texts}", f"modality.vae={texts}", texts]
    (work / texts).mkdir()
    words[1] = f"text_cache={texts}"
    assert main([*TOYS, "seed=1,2", *words]) == 0
    for each in commands:
        assert {each.prompt, each.negative_prompt, each.text_cache, each.options.vae} == {texts}


def test_each_job_writes_into_its_own_place(sweep):
    for command in ("run", "train", "evaluate", "train-vae", "cache"):
        prompt = ["a cat"] * (command == "run")
        found = sweep("seed=1,2", "out=there", *prompt, command=command)
        assert [each.out for each in found[-2:]] == ["there/0/", "there/1/"]
    found = sweep("seed=1,2", "out=there", "hydra.sweep.subdir=${hydra.job.override_dirname}", "x")
    assert [each.out for each in found[-2:]] == ["there/seed=1/", "there/seed=2/"]


def test_one_job_where_no_value_is_several(sweep):
    assert [each.seed for each in sweep("seed=5", "a cat")] == [5]


def test_help_and_completion_know_of_it(capsys):
    assert main(["train", "-m", "--help"]) == 0
    assert "-m makes one job of each combination" in capsys.readouterr().out
    assert complete(["run", "-"]) == ["-m", "--multirun", "--help"]
    assert complete(["run", "-m", "see"]) == ["seed="]


def test_behind_dashes_all_is_prompt(toy, commands):
    assert main(["run", "+modality=toy", "--", "-m"]) == 0
    assert [each.prompt for each in commands] == ["-m"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["seed=1,-1"], "job 1 (seed=-1): seed is -1; set a whole number"),
        (["seed=1,x"], "job 1 (seed=x): seed must be a whole number"),
        (["solver=heun,eulre"], "job 1 (solver=eulre): solver=eulre is unknown"),
        (["modality=toy,tyo"], "job 1 (modality=tyo): Modality 'tyo' is not installed"),
        (["sedd=1,2"], "unknown key 'sedd' in 'sedd=1,2'. Did you mean 'seed'?"),
        (["seed=1,("], "the value in seed=1,( cannot be read"),
        (["seed=interval(0,1)"], "seed=interval(0,1) has no end of values; write some"),
        (["seed=range(0,1000000000000)"], "more than 1000 jobs; give fewer values"),
        (["seed=1,2", "out=a.png"], "out=a.png is one file, -m makes several; name a folder"),
        (["seed=1,2", "out=file"], "out=file lies below"),
        (["seed=1,2", "out=${x}"], "out=${x} has ${, which Hydra would replace"),
        (["seed=1,2", "hydra/launcher=nope"], "Hydra refuses the sweep: In 'hydra/config': Could"),
        (["seed=1,2", "hydra.nope=3"], "Hydra refuses the sweep: Could not override 'hydra.nope'"),
        (["seed=1,2", "--multi"], "unknown option '--multi'"),
    ],
)
def test_nothing_is_started_where_one_job_is_refused(
    toy, commands, work, clean_refusal, words, message
):
    (work / "file").touch()
    assert message in clean_refusal(*TOYS, *words, "a cat")
    assert commands == []


def test_several_values_without_m_are_told_of_it(toy, clean_refusal):
    assert "-m makes one job of each value" in clean_refusal(
        "run", "+modality=toy", "seed=1,2", "x"
    )


def test_a_job_that_fails_ends_no_other(toy, commands, work, job_that, capsys):
    def do(config) -> None:
        if config.seed == 2:
            raise LuminaError("out of luck")
        if config.seed == 3:
            raise RuntimeError("a fault")

    done = job_that(do)
    assert main([*TOYS, "seed=1,2", "a cat"]) == 2
    assert capsys.readouterr().err.endswith("error: out of luck\nerror: 1 of 2 jobs failed: 1\n")
    assert main([*TOYS, "seed=range(1,5)", "a cat"]) == 1
    assert done == [1, 2, 1, 2, 3, 4]
    error = capsys.readouterr().err
    assert "internal error: RuntimeError: a fault\n" in error
    assert error.endswith("error: 2 of 4 jobs failed: 1, 2\n")


def test_an_interrupted_job_ends_the_sweep(toy, commands, work, job_that, capsys):
    def do(config) -> None:
        if config.seed == 2:
            with errors.when_interrupted(lambda: "and the same command makes the rest"):
                raise KeyboardInterrupt

    done = job_that(do)
    assert main([*TOYS, "seed=1,2,3", "a cat"]) == 130
    assert done == [1, 2]
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == "interrupted in job 1 (seed=2); what is finished stays in outputs/sweep-0001"
    done = job_that(lambda config: 130)  # a training that has saved and says how it goes on
    assert main([*TOYS, "seed=1,2,3", "a cat"]) == 130
    assert done == [1]


def test_a_sweep_ends_where_nobody_reads_on(toy, commands, work, job_that, monkeypatch):
    monkeypatch.setattr(faults, "_is_reader_gone", lambda: True)

    def do(config) -> None:
        raise BrokenPipeError

    done = job_that(do)
    assert main([*TOYS, "seed=1,2,3", "a cat"]) == 0
    assert done == [1]


def test_the_results_of_all_jobs_are_one_json(toy, commands, work, job_that, capsys):
    def do(config) -> None:
        if config.seed == 2:
            raise LuminaError("out of luck")
        print(json.dumps({"files": [config.seed]}))

    job_that(do)
    assert main([*TOYS, "seed=1,2", "json=true", "out=there", "a cat"]) == 2
    assert json.loads(capsys.readouterr().out) == [
        {
            "job": 0, "overrides": ["seed=1"], "folder": "there/0", "exit_code": 0,
            "result": {"files": [1]},
        },
        {"job": 1, "overrides": ["seed=2"], "folder": "there/1", "exit_code": 2, "result": None},
    ]  # fmt: skip


def test_a_launcher_may_send_jobs_elsewhere(toy, commands, work, monkeypatch):
    from hydra._internal.core_plugins.basic_launcher import BasicLauncher
    from hydra.core.config_store import ConfigStore
    from hydra.core.plugins import Plugins

    class PostLauncher(BasicLauncher):
        def setup(self, **parts) -> None:
            parts["task_function"] = pickle.loads(pickle.dumps(parts["task_function"]))
            super().setup(**parts)

    PostLauncher.__module__, PostLauncher.__qualname__ = "hydra_plugins.post", "PostLauncher"
    package, module = ModuleType("hydra_plugins"), ModuleType("hydra_plugins.post")
    package.__path__, package.post, module.PostLauncher = [], module, PostLauncher
    for each in (package, module):
        monkeypatch.setitem(sys.modules, each.__name__, each)
    Plugins.instance().register(PostLauncher)
    node = {"_target_": "hydra_plugins.post.PostLauncher"}
    ConfigStore.instance().store(name="post", group="hydra/launcher", node=node)
    assert main([*TOYS, "seed=1,2", "hydra/launcher=post", "a cat"]) == 0
    assert [each.seed for each in commands] == [1, 2]


def test_a_sweep_leaves_an_outer_hydra_program_alone(toy, commands, work):
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    with initialize_config_dir(str(work), version_base="1.3"):
        outer = GlobalHydra.instance().hydra
        assert main([*TOYS, "seed=1,2", "a cat"]) == 0
        assert GlobalHydra.instance().hydra is outer
