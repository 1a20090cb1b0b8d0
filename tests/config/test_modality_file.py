"""Mistakes in a plugin's YAML: one line that names the file, for its user did not write it."""

import pytest

from lumina_core import LuminaError
from lumina_core.config.compose import compose_evaluate, compose_run, compose_train
from lumina_core.config.keys import TRAINING_SETTINGS, command_keys
from lumina_core.config.modality_file import read_modality_file
from lumina_core.sampling.settings import SAMPLING_SETTINGS

VALUES = "height: 32\nratio: 1\npatch_size: 2\nvae: demo\nsizes: null\n"
GIVEN = "condition:\n  image: null\n  frames: null\n"
RUN = ["+modality=toy", "prompt=a cat"]


def changed(old, new):
    assert old in VALUES + GIVEN
    return (VALUES + GIVEN).replace(old, new)


MISTAKES = {
    "unknown option": (changed("sizes", "sises"), "unknown key 'sises'. Did you mean 'sizes'?"),
    "code": (VALUES + GIVEN + "_target_: os.system\n", "unknown key '_target_'. Known: height, "),
    "number as key": (VALUES + GIVEN + "1: 2\n", "has the key 1 (int); a key is a text: write a"),
    "empty": ("", "condition.image, condition.frames of Given has no value here"),
    "a word": ("height", "height must be a whole number, got null"),
    "a list": ("- 1\n", "holds a list; keys with values are wanted"),
    "text for number": (changed("32", "abc"), "height must be a whole number, got 'abc' (str)"),
    "fraction": (changed("32", "1.5"), "height must be a whole number, got 1.5 (float)"),
    "null": (changed("32", "null"), "height must be a whole number, got null"),
    "block": (changed("32", "{a: 1}"), "height must be a whole number, got {'a': 1} (dict)"),
    "boolean": (changed("demo", "yes"), "vae must be a text, got true"),
    "reference": (changed("32", "${ratio}"), "height must be a whole number, got '${ratio}'"),
    "no list": (changed("sizes: null", "sizes: 5"), "sizes must be a list [a,b] or null, got 5"),
    "item": (changed("sizes: null", "sizes: [1, x]"), "sizes[1] must be a whole number, got 'x'"),
    "refused value": (changed("32", "0"), "height must be at least 1"),
    "key twice": (VALUES + GIVEN + "height: 3\n", "line 9: found duplicate key height"),
    "tab": (VALUES + "condition:\n\tframes: null\n", "line 7: found character '\\t'"),
    "tag": (VALUES + "x: !!python/object/apply:os.system [ls]\n", "line 6: could not determine"),
    "unknown condition": (changed("image:", "imagee:"), "Did you mean 'condition.image'?"),
    "no condition": (changed("  frames: null\n", ""), "condition.frames of Given has no value"),
    "given": (changed("frames: null", "frames: 3"), "condition.frames must be null, got 3 (int)"),
    "condition": (VALUES + "condition: 3\n", "condition must be a block of keys, got 3"),
    "unknown advice": (VALUES + GIVEN + "sampling: {out: x}\n", "unknown key 'sampling.out'"),
    "misspelt advice": (VALUES + GIVEN + "sampling: {solvr: {}}\n", "mean 'sampling.solver'?"),
    "advice": (VALUES + GIVEN + "sampling: [1]\n", "sampling must be a block of keys, got [1]"),
}  # fmt: skip


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_mistake_in_yaml_names_the_file(write_conditioned, kind):
    yaml, said = MISTAKES[kind]
    path = write_conditioned(yaml) / "conf/modality/toy.yaml"
    for compose, words in ((compose_run, RUN), (compose_train, RUN[:1])):
        with pytest.raises(LuminaError) as raised:
            compose(words)
        assert said in str(raised.value)
        assert str(path) in str(raised.value)
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("compose", "advice", "said"),
    [
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
    path = write_conditioned(f"{VALUES}{GIVEN}{advice}\n") / "conf/modality/toy.yaml"
    with pytest.raises(LuminaError) as raised:
        compose(RUN if compose is compose_run else RUN[:1])
    assert said in str(raised.value)
    assert str(path) in str(raised.value)


ACTS = {  # all that `train` and `run` read and a plugin may not decide
    "sampling": (
        *("prompt", "prompt_file", "negative_prompt", "seed", "num_samples", "out", "overwrite"),
        *("checkpoint", "repeat", "json", "text_cache", "download", "device", "dtype"),
        *("token_budget", "condition", "attention"),
    ),
    "training": (
        *("out", "overwrite", "resume", "init_from", "seed", "download", "device", "dtype"),
        *(
            "attention",
            "save_dtype",
            "num_threads",
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
    path = write_conditioned(f"{VALUES}{GIVEN}{block}: {{{group or key}: {value}}}\n")
    with pytest.raises(LuminaError) as raised:
        compose_train(RUN[:1]) if block == "training" else compose_run(RUN)
    assert f"{block}.{key}" in str(raised.value)
    assert str(path / "conf/modality/toy.yaml") in str(raised.value)


def test_what_a_plugin_may_recommend_and_what_not_are_all_keys_there_are():
    allowed = {"sampling": SAMPLING_SETTINGS, "training": TRAINING_SETTINGS}
    for block, command in (("sampling", "run"), ("training", "train")):
        own = {key.name.partition(".")[0] for key in command_keys(command)}
        forbidden = {key for key in ACTS[block] if "." not in key}
        assert own == forbidden | set(allowed[block])
        assert not forbidden & set(allowed[block])


def test_a_mistake_of_the_user_names_no_file(write_conditioned):
    write_conditioned(VALUES + GIVEN)
    for word in ("modality.height=x", "solver.num_steps=x", "condition.frames=x"):
        with pytest.raises(LuminaError, match=f"^{word[:-2]} must be a whole number"):
            compose_run([*RUN, word])
    with pytest.raises(LuminaError, match=r"^backbone\.depth must be a whole number"):
        compose_train([RUN[0], "backbone.depth=x"])


def test_a_condition_without_a_dataclass_is_refused(write_distribution):
    write_distribution("lumina-toy", "toy", yaml=VALUES + GIVEN)
    with pytest.raises(LuminaError, match=r"unknown key 'condition\.image'. Known: none"):
        read_modality_file("toy")


def test_check_and_doctor_read_the_yaml(write_conditioned, capsys, refusal):
    from lumina_core.cli.main import main

    write_conditioned(changed("32", "abc"))
    for words in (["plugins", "--check"], ["doctor", "toy"]):
        assert main(words) == 1
        assert "toy.yaml: height must be a whole number, got 'abc'" in capsys.readouterr().out
    assert "toy.yaml: height must be a whole number" in refusal("schema", "toy")
