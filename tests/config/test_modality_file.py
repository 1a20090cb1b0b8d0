"""Mistakes in a plugin's YAML: one line that names the file, for its user did not write it."""

import pytest

from lumina_core import LuminaError
from lumina_core.cli.main import main
from lumina_core.config.keys import record_keys
from lumina_core.config.modality_file import read_modality_file
from lumina_core.evaluation.compose import compose_evaluate
from lumina_core.sampling.compose import RUN as RUN_COMMAND
from lumina_core.sampling.compose import compose_run
from lumina_core.training.compose import TRAIN as TRAIN_COMMAND
from lumina_core.training.compose import compose_train

RUN = ["+modality=toy", "prompt=a cat"]
TRAIN = RUN[:1]
MISTAKES = {
    "option": ("height: 32\n", "height has its default in Options, where setting(...) declares it"),
    "condition": ("condition: {image: null}\n", "condition has its default in Options"),
    "code": ("_target_: os.system\n", "unknown key '_target_'. Known: sampling, training"),
    "number as key": ("1: 2\n", "has the key 1 (int); a key is a text: write a"),
    "misspelt block": ("samplin: {}\n", "unknown key 'samplin'. Did you mean 'sampling'?"),
    "a word": ("height", "holds one value; keys with values are wanted"),
    "a list": ("- 1\n", "holds a list; keys with values are wanted"),
    "key twice": ("training: {}\ntraining: {}\n", "line 2: found duplicate key training"),
    "tab": ("training:\n\tdata: {}\n", "line 2: found character '\\t'"),
    "tag": ("x: !!python/object/apply:os.system [ls]\n", "line 1: could not determine"),
    "no block": ("sampling: [1]\n", "sampling must be a block of keys, got [1]"),
}


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_mistake_in_yaml_names_the_file(write_conditioned, kind):
    yaml, said = MISTAKES[kind]
    path = write_conditioned(yaml) / "conf/modality/toy.yaml"
    for compose, words in ((compose_run, RUN), (compose_train, TRAIN)):
        with pytest.raises(LuminaError) as raised:
            compose(words)
        assert said in str(raised.value)
        assert str(path) in str(raised.value)
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("compose", "advice", "said"),
    [
        (compose_run, "sampling: {out: x}", "unknown key 'sampling.out'"),
        (compose_run, "sampling: {solvr: {}}", "Did you mean 'sampling.solver'?"),
        (compose_run, "sampling: {solver: {steps: 3}}", "Did you mean 'solver.num_steps'?"),
        (compose_run, "sampling: {solver: {_target_: os.system}}", "'solver._target_'"),
        (compose_run, "sampling: {solver: {1: 2}}", "has the key 1 (int); a key is a text"),
        (compose_run, "sampling: {solver: heun}", "solver must be a block of keys"),
        (compose_run, "sampling: {solver: null}", "solver must be a block of keys"),
        (compose_run, "sampling: {solver: {num_steps: {a: 1}}}", "a whole number, got {'a': 1}"),
        (compose_run, "sampling: {solver: {num_steps: many}}", "a whole number, got 'many'"),
        (compose_evaluate, "sampling: {solver: {num_steps: 0}}", "solver.num_steps is 0"),
        (compose_evaluate, "sampling: {guidance: {interval: [0.5]}}", "a list of 2 values"),
        (compose_train, "training: {backbone: {depht: 3}}", "Did you mean 'backbone.depth'?"),
        (compose_train, "training: {backbone: {depth: x}}", "must be a whole number, got 'x'"),
        (compose_train, "training: {data: {pool_size: x}}", "must be a whole number, got 'x'"),
        (compose_train, "training: {max_steps: null}", "must be a whole number, got null"),
    ],
)  # fmt: skip
def test_a_wrong_recommendation_names_the_file(write_conditioned, compose, advice, said):
    path = write_conditioned(f"{advice}\n") / "conf/modality/toy.yaml"
    with pytest.raises(LuminaError) as raised:
        compose(RUN if compose is compose_run else RUN[:1])
    assert said in str(raised.value)
    assert str(path) in str(raised.value)


ACTS = {  # all that `train` and `run` read and a plugin may not decide
    "sampling": (
        *("prompt", "prompt_file", "negative_prompt", "seed", "num_samples", "out", "overwrite"),
        *("checkpoint", "repeat", "regions", "json", "text_encoder", "text_cache", "download"),
        *("device", "dtype"),
        *("offload", "quantise", "text_encoder_device"),
        *("token_budget", "condition", "attention", "adapters", "merge_adapters"),
    ),
    "training": (
        *("out", "overwrite", "resume", "init_from", "seed", "download", "device", "dtype"),
        *(
            "attention",
            "save_dtype",
            "num_threads",
            "activation_checkpointing",
            "adapter",
            "objective",
            "compile",
            "freeze",
            "parallel",
            "start_data",
            "tensorboard",
            "text_encoder.path",
            "text_encoder.cache",
            "data.path",
        ),
    ),
}


@pytest.mark.parametrize(("block", "key"), [(b, key) for b, keys in ACTS.items() for key in keys])
def test_a_plugin_recommends_nothing_that_acts_for_the_user(write_conditioned, block, key):
    group, _, last = key.rpartition(".")
    value = f"{{{last}: x}}" if group else "x"
    path = write_conditioned(f"{block}: {{{group or key}: {value}}}\n")
    with pytest.raises(LuminaError) as raised:
        compose_train(RUN[:1]) if block == "training" else compose_run(RUN)
    assert f"{block}.{key}" in str(raised.value)
    assert str(path / "conf/modality/toy.yaml") in str(raised.value)


def test_what_a_plugin_may_recommend_and_what_not_are_all_keys_there_are():
    for block, command in (("sampling", RUN_COMMAND), ("training", TRAIN_COMMAND)):
        own = {key.name.partition(".")[0] for key in record_keys(command.record)}
        forbidden = {key for key in ACTS[block] if "." not in key}
        assert own == forbidden | set(command.advised)
        assert not forbidden & set(command.advised)


def test_a_mistake_of_the_user_names_no_file(write_conditioned):
    write_conditioned()
    for word in ("modality.height=x", "solver.num_steps=x", "condition.frames=x"):
        with pytest.raises(LuminaError, match=f"^{word[:-2]} must be a whole number"):
            compose_run([*RUN, word])
    with pytest.raises(LuminaError, match=r"^backbone\.depth must be a whole number"):
        compose_train([RUN[0], "backbone.depth=x"])


def test_a_modality_without_a_yaml_recommends_nothing(toy):
    path = toy / "conf/modality/toy.yaml"
    path.unlink()
    assert read_modality_file("toy") is None
    assert compose_run(RUN).solver.num_steps == 30
    path.with_name("other.yaml").write_text("")
    with pytest.raises(LuminaError, match=r"It holds other\.yaml: the file and the entry point"):
        compose_run(RUN)


def test_check_and_doctor_read_the_yaml(write_conditioned, capsys, refusal):
    write_conditioned("training: {max_steps: 0}")
    for words in (["plugins", "--check"], ["doctor", "toy"]):
        assert main(words) == 1
        assert "toy.yaml: max_steps is 0; set a whole number" in capsys.readouterr().out
    assert "toy.yaml: max_steps is 0" in refusal("train", "+modality=toy")
