import json
import threading

import pytest

from lumina_core import LuminaError
from lumina_core.config import (
    compose_evaluate,
    compose_run,
    compose_train,
    compose_train_vae,
)
from lumina_core.keys import (
    IDLE_KEYS,
    closest,
    command_keys,
    conf_root,
    group_choices,
    group_defaults,
    read_keys,
)
from lumina_core.manifest import sealed

YAML = "height: 32\nratio: 1\npatch_size: 2\nvae: demo\nsizes: null\n"
RUN = ["+modality=toy", "prompt=a cat"]


@pytest.fixture
def toy(write_distribution):
    return write_distribution("lumina-toy", "toy")


def _write_checkpoint(folder, **entries):
    content = {
        "format": 1, "lumina_core": "0.1.0", "backbone": {}, "text_encoder": {"max_tokens": 8},
        "modalities": {"toy": {"options": {"patch_size": 4, "height": 999}, "token_dim": 16}},
        "sampling": {}, "training": {}, "files": {},
    }  # fmt: skip
    folder.mkdir()
    (folder / "lumina.json").write_text(sealed(content | entries))
    return folder


def test_run_is_typed_and_complete(toy):
    config = compose_run([*RUN, "modality.sizes=[1,2]"])
    assert config.modality == "toy"
    assert config.prompt == "a cat"
    assert config.negative_prompt == ""
    assert type(config.options).__name__ == "Options"
    assert config.options.ratio == 1.0
    assert isinstance(config.options.ratio, float)
    assert config.options.sizes == (1, 2)
    assert config.guidance.interval == (0.0, 1.0)
    assert config.proportional_attention is None
    assert config.checkpoint is None


def test_layers_win_in_their_order(toy, tmp_path):
    modality = compose_run(RUN)
    assert (modality.solver.name, modality.solver.num_steps) == ("midpoint", 10)
    assert (modality.solver.atol, modality.guidance.scale) == (1e-5, 2.0)
    folder = _write_checkpoint(
        tmp_path / "checkpoint", sampling={"solver": {"num_steps": 12}, "guidance": {"scale": 3}}
    )
    checkpoint = compose_run([*RUN, f"checkpoint={folder}"])
    assert (checkpoint.solver.name, checkpoint.solver.num_steps) == ("midpoint", 12)
    assert (checkpoint.solver.shift, checkpoint.guidance.scale) == (3.0, 3.0)
    user = compose_run([*RUN, f"checkpoint={folder}", "guidance.scale=4", "solver.num_steps=7"])
    assert (user.solver.num_steps, user.guidance.scale) == (7, 4.0)


def test_a_chosen_group_beats_recommendations_and_keeps_what_it_does_not_decide(toy):
    config = compose_run([*RUN, "solver.num_steps=5", "solver=rk4"])
    assert (config.solver.name, config.solver.num_steps, config.solver.shift) == ("rk4", 5, 3.0)
    assert compose_run([*RUN, "solver=euler"]).solver.num_steps == 30


def test_the_demo_checkpoint_is_the_default(toy):
    folder = _write_checkpoint(toy / "demo", sampling={"solver": {"num_steps": 3}})
    config = compose_run(RUN)
    assert config.checkpoint == str(folder)
    assert config.solver.num_steps == 3


def test_a_checkpoint_fixes_the_architecture_and_nothing_else(toy, tmp_path):
    folder = _write_checkpoint(tmp_path / "checkpoint")
    config = compose_run([*RUN, f"checkpoint={folder}"])
    assert (config.options.patch_size, config.options.height) == (4, 32)


@pytest.mark.parametrize(
    "override", ["modality.patch_size=4", "backbone=tiny", "backbone.depth=2", "text_encoder=tiny"]
)
def test_architecture_keys_are_refused_beside_a_checkpoint(toy, override):
    for compose, words in ((compose_run, RUN), (compose_evaluate, RUN[:1])):
        with pytest.raises(LuminaError, match="which the checkpoint fixes"):
            compose([*words, override])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("modality.heigth=3", "unknown key 'modality.heigth'. Did you mean 'modality.height'?"),
        ("modality.height=abc", "modality.height must be a whole number, got 'abc'"),
        ("modality.height=1.5", "modality.height must be a whole number, got 1.5"),
        ("modality.height=true", "modality.height must be a whole number, got True"),
        ("modality.height=0", "modality: height must be at least 1"),
        ("modality.sizes=3", "modality.sizes must be a list"),
        ("modality.sizes=[1,x]", "modality.sizes[1] must be a whole number"),
        ("solver.num_step=3", "unknown key 'solver.num_step'. Did you mean 'solver.num_steps'?"),
        ("num_steps=3", "unknown key 'num_steps'. Did you mean 'solver.num_steps'?"),
        ("sedd=3", "unknown key 'sedd'. Did you mean 'seed'?"),
        ("+nope=3", "unknown key 'nope'."),
        ("~seed=3", "Drop the ~"),
        ("solver=eulre", "choose one of dopri5, euler, heun, midpoint, rk4. Did you mean 'euler'?"),
        ("rope_scaling=3", "a block of keys"),
        ("seed=1,2", "sweeps are not supported"),
        ("seed=(", "cannot be read"),
        ("seed=-1", "seed is -1"),
        ("seed=9223372036854775808", "seed is"),
        ("num_samples=0", "num_samples is 0"),
        ("guidance.interval=[0.5]", "guidance.interval must be a list of 2 values"),
        ("longest_side=0", "longest_side is 0.0; set a number above 0"),
        ("longest_side=nan", "longest_side is nan; set a number above 0"),
        ("proportional_attention=0", "proportional_attention is 0"),
    ],
)
def test_a_wrong_key_or_value_is_refused_by_name(toy, override, message):
    with pytest.raises(LuminaError) as raised:
        compose_run([*RUN, override])
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "text",
    [
        "a cat, sitting",
        'say "hi", it\'s {fine} ${x} [x] (y) a=b; 1, 2 | 50% off! null',
        "two\nlines\t",
        "müller — 雪だるま ☃",
        "trailing \\",
        "null",
        "  spaces kept  ",
    ],
)
def test_texts_arrive_letter_by_letter(toy, text):
    config = compose_run(["+modality=toy", f"prompt={text}", f"negative_prompt={text}",
                          f"out={text}"])  # fmt: skip
    out = None if text == "null" else text
    assert (config.prompt, config.negative_prompt, config.out) == (text, text, out)


@pytest.mark.parametrize(
    ("compose", "switch", "key"),
    [
        (compose_run, "solver=dopri5", "solver.num_steps=9"),
        (compose_run, "solver=dopri5", "solver.shift=2"),
        (compose_evaluate, "solver.name=dopri5", "solver.num_steps=9"),
        (compose_run, "solver=rk4", "solver.atol=0.1"),
        (compose_run, "solver=heun", "solver.rtol=0.1"),
        (compose_train, "optimizer=adamw", "optimizer.muon_learning_rate=0.1"),
        (compose_train, "time=uniform", "time.mean=1"),
        (compose_train, "time=uniform", "time.std=2"),
    ],
)
def test_a_key_that_another_one_switches_off_is_refused(toy, compose, switch, key):
    words = RUN if compose is compose_run else RUN[:1]
    for order in ([switch, key], [key, switch]):
        with pytest.raises(LuminaError, match=f"{key} has no effect with "):
            compose([*words, *order])
    compose([*words, switch])  # what YAML says beside it disturbs nobody


def test_every_switch_names_keys_and_choices_that_exist():
    for key, (switch, idle_values) in IDLE_KEYS.items():
        commands = [c for c in ("run", "train") if key in {k.name for k in command_keys(c)}]
        assert commands
        for command in commands:
            assert switch in {known.name for known in command_keys(command)}
            group = switch.partition(".")[0]
            if group in group_defaults(command):
                assert set(idle_values) <= set(group_choices(group))


@pytest.mark.parametrize("key", ["out", "checkpoint", "repeat"])
def test_null_is_no_path_and_nothing_is_refused(toy, key):
    assert getattr(compose_run([*RUN, f"{key}=x", f"{key}=null"]), key) is None
    with pytest.raises(LuminaError, match=f"{key} is empty. .* {key}=null"):
        compose_run([*RUN, f"{key}="])


def test_a_tilde_is_the_home_folder_in_every_path(toy, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    _write_checkpoint(tmp_path / "checkpoint")
    config = compose_run([*RUN, "out=~/a", "checkpoint=~/checkpoint"])
    assert (config.out, config.checkpoint) == (f"{tmp_path}/a", f"{tmp_path}/checkpoint")
    with pytest.raises(LuminaError, match=f"{tmp_path}/nowhere is no file"):
        compose_run([*RUN, "repeat=~/nowhere"])
    config = compose_train(["+modality=toy", "out=~/a", "text_encoder.path=~/b"])
    assert (config.out, config.text_encoder.path) == (f"{tmp_path}/a", f"{tmp_path}/b")
    words = ["+modality=toy", "out=null", "text_encoder.path=null"]
    assert compose_train(words).text_encoder.path is None
    assert compose_train(words).out == "outputs/toy-checkpoint"


def test_one_split_needs_no_brackets(toy):
    assert compose_evaluate(["+modality=toy", "splits=trained"]).splits == ("trained",)
    assert compose_evaluate(["+modality=toy", "splits=[a,b]"]).splits == ("a", "b")
    assert compose_evaluate(["+modality=toy", "splits=null"]).splits is None


def test_an_option_of_another_modality_is_refused(toy):
    with pytest.raises(LuminaError, match="option of 'video'; the modality in use is 'toy'"):
        compose_run([*RUN, "modality.video.height=80"])


def test_the_yaml_of_a_plugin_reads_no_environment(write_distribution, monkeypatch):
    monkeypatch.setenv("SECRET", "48")
    write_distribution("lumina-toy", "toy", yaml=YAML.replace("demo", "${oc.env:SECRET}"))
    assert compose_run(RUN).options.vae == "${oc.env:SECRET}"


def test_a_textual_option_needs_no_quotes(toy):
    assert compose_run([*RUN, "modality.vae=/a folder/of, (mine)"]).options.vae[1:3] == "a "


@pytest.mark.parametrize("overrides", [RUN[:1], [*RUN, "prompt= "], [*RUN, "prompt="]])
def test_a_missing_prompt_is_refused(toy, overrides):
    with pytest.raises(LuminaError, match="prompt"):
        compose_run(overrides)


def test_a_prompt_that_is_no_unicode_is_refused(toy):
    with pytest.raises(LuminaError, match="UTF-8"):
        compose_run(["+modality=toy", "prompt=\udcff"])


def test_one_modality_is_chosen(toy, write_distribution):
    write_distribution("lumina-two", "two")
    with pytest.raises(LuminaError, match=r"Add \+modality=NAME; installed: toy, two"):
        compose_run(RUN[1:])
    for compose in (compose_train, compose_evaluate):
        with pytest.raises(LuminaError, match="one at a time"):
            compose(["+modality=[toy,two]"])
    assert compose_train(["modality=[toy]"]).modality == "toy"
    assert compose_run([*RUN, "modality.toy.height=5"]).options.height == 5


def test_mistakes_of_a_plugin_name_its_file(write_distribution):
    write_distribution("lumina-toy", "toy", yaml="height: 1\nsampling: {solver: {steps: 3}}\n")
    with pytest.raises(LuminaError, match=r"'solver\.steps' in conf/modality/toy\.yaml, sampling"):
        compose_run(RUN)
    write_distribution("lumina-two", "two", yaml="height: 1\n")
    with pytest.raises(LuminaError, match=r"modality\.ratio has no value"):
        compose_run(["+modality=two", "prompt=x"])
    write_distribution("lumina-three", "three", yaml="height: [1\n")
    with pytest.raises(LuminaError, match=r"three\.yaml cannot be read"):
        compose_run(["+modality=three", "prompt=x"])


def test_a_damaged_checkpoint_is_refused(toy, tmp_path):
    deep = '{"a":' * 5000 + "1" + "}" * 5000
    for content in ("", "{", "[]", "{}", '{"modalities": {"image": 5}}', deep):
        (tmp_path / "lumina.json").write_text(content)
        with pytest.raises(LuminaError, match="damaged"):
            compose_run([*RUN, f"checkpoint={tmp_path}"])
    with pytest.raises(LuminaError, match="no checkpoint in"):
        compose_run([*RUN, f"checkpoint={tmp_path / 'nowhere'}"])
    other = _write_checkpoint(
        tmp_path / "other", modalities={"image": {"options": {}, "token_dim": 4}}
    )
    with pytest.raises(LuminaError, match="was trained on image, not on toy"):
        compose_run([*RUN, f"checkpoint={other}"])


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
        ({"training": {"x": json.loads("[" * 50 + "]" * 50)}}, "too deeply nested"),
    ],
)
def test_a_sealed_manifest_of_wrong_types_is_refused(toy, tmp_path, entry, fault):
    folder = _write_checkpoint(tmp_path / "checkpoint", **entry)
    with pytest.raises(LuminaError, match=fault):
        compose_run([*RUN, f"checkpoint={folder}"])


def test_train_takes_the_training_recommendation(toy):
    config = compose_train(["+modality=toy", "modality.patch_size=4", "backbone.depth=2"])
    assert (config.token_budget, config.time.mean, config.time.std) == (512, -0.7, 1.0)
    assert (config.options.patch_size, config.backbone.depth) == (4, 2)
    assert config.out == "outputs/toy-checkpoint"
    assert compose_train(["+modality=toy", "token_budget=8"]).token_budget == 8


@pytest.mark.parametrize("backbone", ["tiny", "600m", "5b", "7b"])
def test_every_backbone_composes(toy, backbone):
    config = compose_train(["+modality=toy", f"backbone={backbone}"]).backbone
    assert config.token_dims == {}
    assert config.head_dim % 2 == 0


def test_every_choice_of_every_group_composes(toy):
    for command, compose, words in (("run", compose_run, RUN), ("train", compose_train, RUN[:1])):
        for group in group_defaults(command):
            for choice in group_choices(group):
                compose([*words, f"{group}={choice}"])


@pytest.mark.parametrize("override", ["max_steps=0", "token_budget=-1", "num_threads=0",
                                      "caption_dropout=1.5", "log_every=0"])  # fmt: skip
def test_train_refuses_sizes_that_make_no_sense(toy, override):
    with pytest.raises(LuminaError, match=override.partition("=")[0]):
        compose_train(["+modality=toy", override])


def test_train_vae_composes_and_checks(toy):
    config = compose_train_vae(["+modality=toy", "block_channels=[8,16]"])
    assert config.block_channels == (8, 16)
    for override in ("batch_size=0", "block_channels=[]", "learning_rate=0"):
        with pytest.raises(LuminaError, match=override.partition("=")[0]):
            compose_train_vae(["+modality=toy", override])


def test_repeat_takes_the_request_and_lets_the_command_line_win(toy, monkeypatch):
    import sys
    from types import ModuleType

    request = {
        "modality": "toy", "prompt": "a dog", "negative_prompt": "fog", "seed": 7,
        "options": {"height": 48}, "solver": {"name": "heun", "num_steps": 4},
        "guidance": {"scale": 9}, "checkpoint_sha256": "00",
    }  # fmt: skip
    module = ModuleType("lumina_core.run")
    module.read_request = lambda path: request
    monkeypatch.setitem(sys.modules, "lumina_core.run", module)
    config = compose_run(["repeat=a, file.png", "guidance.scale=5"])
    assert (config.prompt, config.negative_prompt, config.seed) == ("a dog", "fog", 7)
    assert (config.solver.name, config.solver.num_steps, config.options.height) == ("heun", 4, 48)
    assert (config.guidance.scale, config.repeat) == (5.0, "a, file.png")
    assert compose_run(["repeat=x", "prompt=a cat"]).prompt == "a cat"
    request["options"]["patch_size"] = 4
    with pytest.raises(LuminaError, match=r"sets modality\.patch_size, which the checkpoint fixes"):
        compose_run(["repeat=x"])


def test_four_threads_compose_at_once(toy):
    found, faults = [], []

    def work(seed):
        try:
            for _ in range(3):
                found.append(compose_run([*RUN, f"seed={seed}"]).seed == seed)
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    assert found == [True] * 12


def test_composing_leaves_an_outer_hydra_program_alone(toy):
    from hydra import compose, initialize_config_dir

    with initialize_config_dir(str(conf_root()), version_base="1.3"):
        compose_run(RUN)
        assert compose("train").max_steps > 0


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("sedd", "seed"),
        ("num_steps", "solver.num_steps"),
        ("text_encodr.hidden_size", "text_encoder.hidden_size"),
        ("backbone.dept", "backbone.depth"),
        ("e", None),
    ],
)
def test_the_closest_key_is_the_one_that_was_meant(written, meant):
    names = [key.name for command in ("run", "train") for key in command_keys(command)]
    assert closest(written, names) == meant


def test_every_key_of_the_core_says_what_it_means():
    for path in sorted(conf_root().rglob("*.yaml")):
        for key in read_keys(path):
            assert key.meaning or not key.default, f"{path.name}: {key.name} has no comment"


def test_help_reads_the_same_keys_as_hydra(toy):
    from omegaconf import OmegaConf

    def flat(values, prefix=""):
        for key, value in values.items():
            yield f"{prefix}{key}"
            if isinstance(value, dict):
                yield from flat(value, f"{prefix}{key}.")

    for path in sorted(conf_root().rglob("*.yaml")):
        values = OmegaConf.to_container(OmegaConf.load(path))
        values.pop("defaults", None)
        assert [key.name for key in read_keys(path)] == list(flat(values)), path


def test_each_kind_of_data_has_its_own_keys(toy, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    train = ["+modality=toy"]
    assert type(compose_train(train).data).__name__ == "SyntheticConfig"
    for kind in ("folder", "manifest"):
        config = compose_train([*train, f"data={kind}", "data.path=~/a, [b]", "data.max_aspect=3"])
        assert (config.data.name, config.data.path) == (kind, f"{tmp_path}/a, [b]")
        assert (config.data.max_aspect, config.data.max_quarantined) == (3.0, 0.1)
    words = ["data=folder", "data.max_tokens=abc"]
    with pytest.raises(LuminaError, match=r"data\.max_tokens must be a whole number"):
        compose_train([*train, *words])
    with pytest.raises(LuminaError, match=r"data\.name='floder' is unknown; use synthetic, folder"):
        compose_train([*train, "data.name=floder"])
    for value in ("[a]", "{a: 1}", "null", "5"):
        with pytest.raises(LuminaError, match=r"data\.name=.* is unknown; use synthetic"):
            compose_train([*train, f"data.name={value}"])
    with pytest.raises(LuminaError, match=r"data\.path.* data=folder or data=manifest"):
        compose_train([*train, "data.path=x"])


def test_help_says_which_choice_a_key_belongs_to():
    meanings = {key.name: key.meaning for key in command_keys("train")}
    assert meanings["data.path"].startswith("with data=folder or manifest: ")
    assert meanings["data.pool_size"] == "samples kept encoded"


def test_init_from_is_a_path_and_no_way_to_resume(toy):
    assert compose_train(["+modality=toy"]).init_from is None
    assert compose_train(["+modality=toy", "init_from=a, [b]"]).init_from == "a, [b]"
    with pytest.raises(LuminaError, match="leave out init_from"):
        compose_train(["+modality=toy", "init_from=a", "resume=true"])
