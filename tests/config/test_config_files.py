"""Files that the words of a command name: checkpoints, requests to repeat, folders of the user."""

import json

import pytest

from lumina_core import LuminaError
from lumina_core.evaluation.compose import compose_evaluate
from lumina_core.files.seals import sealed
from lumina_core.sampling.compose import compose_run
from lumina_core.training.compose import compose_train

RUN = ["+modality=toy", "prompt=a cat"]


def write_checkpoint(folder, **entries):
    content = {
        "format": 1, "lumina_core": "0.1.0", "backbone": {}, "text_encoder": {"max_tokens": 8},
        "modalities": {"toy": {"options": {"patch_size": 4, "height": 999}, "token_dim": 16}},
        "sampling": {}, "training": {}, "files": {},
    }  # fmt: skip
    folder.mkdir()
    (folder / "lumina.json").write_text(sealed(content | entries))
    return folder


def test_layers_win_in_their_order(toy, tmp_path):
    modality = compose_run(RUN)
    assert (modality.solver.name, modality.solver.num_steps) == ("midpoint", 10)
    assert (modality.solver.atol, modality.guidance.scale) == (1e-5, 2.0)
    folder = write_checkpoint(
        tmp_path / "checkpoint", sampling={"solver": {"num_steps": 12}, "guidance": {"scale": 3}}
    )
    checkpoint = compose_run([*RUN, f"checkpoint={folder}"])
    assert (checkpoint.solver.name, checkpoint.solver.num_steps) == ("midpoint", 12)
    assert (checkpoint.solver.shift, checkpoint.guidance.scale) == (3.0, 3.0)
    user = compose_run([*RUN, f"checkpoint={folder}", "guidance.scale=4", "solver.num_steps=7"])
    assert (user.solver.num_steps, user.guidance.scale) == (7, 4.0)


def test_the_demo_checkpoint_is_the_default(toy):
    folder = write_checkpoint(toy / "demo", sampling={"solver": {"num_steps": 3}})
    config = compose_run(RUN)
    assert config.checkpoint == str(folder)
    assert config.solver.num_steps == 3


def test_a_checkpoint_fixes_the_architecture_and_nothing_else(toy, tmp_path):
    folder = write_checkpoint(tmp_path / "checkpoint")
    config = compose_run([*RUN, f"checkpoint={folder}"])
    assert (config.options.patch_size, config.options.height) == (4, 32)


@pytest.mark.parametrize(
    "override",
    ["modality.patch_size=4", "backbone=tiny", "backbone.depth=2", "text_encoder.depth=2"],
)
def test_architecture_keys_are_refused_beside_a_checkpoint(toy, override):
    for compose, words in ((compose_run, RUN), (compose_evaluate, RUN[:1])):
        with pytest.raises(LuminaError, match="which the checkpoint fixes"):
            compose([*words, override])


@pytest.mark.parametrize("key", ["out", "checkpoint", "repeat"])
def test_null_is_no_path_and_nothing_is_refused(toy, key):
    assert getattr(compose_run([*RUN, f"{key}=x", f"{key}=null"]), key) is None
    with pytest.raises(LuminaError, match=f"{key} is empty. .* {key}=null"):
        compose_run([*RUN, f"{key}="])


def test_a_tilde_is_the_home_folder_in_every_path(toy, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    write_checkpoint(tmp_path / "checkpoint")
    config = compose_run([*RUN, "out=~/a", "checkpoint=~/checkpoint"])
    assert (config.out, config.checkpoint) == (f"{tmp_path}/a", f"{tmp_path}/checkpoint")
    with pytest.raises(LuminaError, match=f"{tmp_path}/nowhere is no file"):
        compose_run([*RUN, "repeat=~/nowhere"])
    config = compose_train(["+modality=toy", "out=~/a", "text_encoder.path=~/b"])
    assert (config.out, config.text_encoder.path) == (f"{tmp_path}/a", f"{tmp_path}/b")
    words = ["+modality=toy", "out=null", "text_encoder.path=null"]
    assert compose_train(words).text_encoder.path is None
    assert compose_train(words).out == "outputs/toy-checkpoint"


def test_a_damaged_checkpoint_is_refused(toy, tmp_path):
    deep = '{"a":' * 5000 + "1" + "}" * 5000
    for content in ("", "{", "[]", "{}", '{"modalities": {"image": 5}}', deep):
        (tmp_path / "lumina.json").write_text(content)
        with pytest.raises(LuminaError, match="damaged"):
            compose_run([*RUN, f"checkpoint={tmp_path}"])
    with pytest.raises(LuminaError, match="no checkpoint in"):
        compose_run([*RUN, f"checkpoint={tmp_path / 'nowhere'}"])
    other = write_checkpoint(
        tmp_path / "other", modalities={"image": {"options": {}, "token_dim": 4}}
    )
    with pytest.raises(LuminaError, match="was trained on image, not on toy"):
        compose_run([*RUN, f"checkpoint={other}"])


ACTS = {
    "out": "mine.png", "overwrite": True, "download": True, "prompt": "a dog", "checkpoint": "x",
    "device": "cpu", "dtype": "bfloat16", "json": True, "text_cache": "here", "seed": 5,
    "prompt_file": "a.txt", "negative_prompt": "fog", "num_samples": 9, "repeat": "a.png",
    "token_budget": 1, "condition": {"strength": 0.5}, "modality": "image",
}  # fmt: skip


@pytest.mark.parametrize("key", ACTS)
def test_a_checkpoint_recommends_nothing_that_acts_for_the_user(toy, tmp_path, key):
    folder = write_checkpoint(tmp_path / "checkpoint", sampling={key: ACTS[key]})
    for compose, words in ((compose_run, RUN), (compose_evaluate, RUN[:1])):
        with pytest.raises(LuminaError) as raised:
            compose([*words, f"checkpoint={folder}"])
        assert f"unknown key {key!r} in {folder}/lumina.json, sampling." in str(raised.value)
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ({"sampling": {"solver": {"num_steps": "x"}}}, "solver.num_steps must be a whole number"),
        ({"sampling": {"longest_side": -1}}, "longest_side is -1.0"),
        ({"sampling": {"solver": 5}}, "solver must be a block of keys"),
        (
            {"modalities": {"toy": {"options": {"patch_size": "x"}, "token_dim": 16}}},
            "modality.patch_size must be a whole number",
        ),
    ],
)
def test_a_wrong_value_of_a_checkpoint_names_its_file(toy, tmp_path, entry, fault):
    folder = write_checkpoint(tmp_path / "checkpoint", **entry)
    for compose, words in ((compose_run, RUN), (compose_evaluate, RUN[:1])):
        with pytest.raises(LuminaError) as raised:
            compose([*words, f"checkpoint={folder}"])
        assert fault in str(raised.value)
        assert f"{folder}/lumina.json" in str(raised.value)
    with pytest.raises(LuminaError, match=r"^guidance\.scale must be a number"):
        compose_run([*RUN, f"checkpoint={write_checkpoint(tmp_path / 'good')}", "guidance.scale=x"])


@pytest.mark.parametrize(
    ("request_part", "fault"),
    [
        ({"solver": {"num_steps": "x"}}, "solver.num_steps must be a whole number"),
        ({"solver": {"steps": 3}}, "unknown key 'solver.steps' in a.png."),
        ({"prompt": 5}, "prompt must be a text"),
        ({"seed": "5"}, "seed must be a whole number"),
        ({"options": {"height": 0}}, "height must be at least 1"),
        ({"condition": {"strength": "x"}}, "condition.strength must be a number"),
        ({"condition": {"frames": "x"}}, "condition.frames must be a whole number"),
        ({"condition": {"out": "x"}}, "unknown key 'condition.out' in a.png."),
    ],
)
def test_a_wrong_value_of_a_repeated_file_names_it(
    write_conditioned, monkeypatch, request_part, fault
):
    write_conditioned()
    request = {"modality": "toy", "prompt": "a dog"} | request_part
    monkeypatch.setattr("lumina_core.sampling.compose.read_request", lambda path: request)
    with pytest.raises(LuminaError) as raised:
        compose_run(["repeat=a.png"])
    assert fault in str(raised.value)
    assert "a.png" in str(raised.value)


def test_a_repeated_file_sets_nothing_that_acts_for_the_user(toy, monkeypatch):
    request = {"modality": "toy", "prompt": "a dog"}
    monkeypatch.setattr("lumina_core.sampling.compose.read_request", lambda path: request)
    plain = compose_run(["repeat=a.png"])
    legal = {"prompt", "negative_prompt", "seed", "dtype", "condition"}  # how the sample was made
    acts = {key: ACTS[key] for key in ACTS.keys() - legal}
    monkeypatch.setattr("lumina_core.sampling.compose.read_request", lambda path: acts | request)
    assert compose_run(["repeat=a.png"]) == plain


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ({"modalities": 5}, "modalities is int, not dict"),
        ({"modalities": {}}, "modalities is empty"),
        ({"modalities": {"toy": 5}}, r"modalities\.toy has no options"),
        (
            {"modalities": {"toy": {"options": 5, "token_dim": 4}}},
            r"modalities\.toy has no options",
        ),
        (
            {"modalities": {"toy": {"options": {}}}},
            r"modalities\.toy has no options or no token_dim",
        ),
        ({"text_encoder": {}}, "text_encoder.max_tokens is no whole number"),
        ({"sampling": None}, "sampling is NoneType"),
        ({"files": {"x": 1}}, "something that is no hash"),
        ({"extra": 1}, "missing or unknown: extra"),
        ({"training": {"x": json.loads("[" * 50 + "]" * 50)}}, "it has more than 32 levels"),
    ],
)
def test_a_sealed_manifest_of_wrong_types_is_refused(toy, tmp_path, entry, fault):
    folder = write_checkpoint(tmp_path / "checkpoint", **entry)
    with pytest.raises(LuminaError, match=fault):
        compose_run([*RUN, f"checkpoint={folder}"])


def test_repeat_takes_the_request_and_lets_the_command_line_win(toy, monkeypatch):
    request = {
        "modality": "toy", "prompt": "a dog", "negative_prompt": "fog", "seed": 7,
        "options": {"height": 48}, "solver": {"name": "heun", "num_steps": 4},
        "guidance": {"scale": 9}, "checkpoint_sha256": "00",
    }  # fmt: skip
    monkeypatch.setattr("lumina_core.sampling.compose.read_request", lambda path: request)
    config = compose_run(["repeat=a, file.png", "guidance.scale=5"])
    assert (config.prompt, config.negative_prompt, config.seed) == ("a dog", "fog", 7)
    assert (config.solver.name, config.solver.num_steps, config.options.height) == ("heun", 4, 48)
    assert (config.guidance.scale, config.repeat) == (5.0, "a, file.png")
    assert compose_run(["repeat=x", "prompt=a cat"]).prompt == "a cat"
    request["options"]["patch_size"] = 4
    with pytest.raises(LuminaError, match=r"sets modality\.patch_size, which the checkpoint fixes"):
        compose_run(["repeat=x"])


def test_init_from_is_a_path(toy):
    assert compose_train(["+modality=toy"]).init_from is None
    assert compose_train(["+modality=toy", "init_from=a, [b]"]).init_from == "a, [b]"
