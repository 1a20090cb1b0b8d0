"""From the words of a command to its typed record."""

import threading

import pytest

from lumina_core import LuminaError
from lumina_core.config.keys import choices_of, conf_root
from lumina_core.evaluation.compose import compose_evaluate
from lumina_core.sampling.compose import INFER, compose_run
from lumina_core.training.compose import TRAIN, compose_train, compose_train_vae

RUN = ["+modality=toy", "prompt=a cat"]


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


def test_a_chosen_group_beats_recommendations_and_keeps_what_it_does_not_decide(toy):
    config = compose_run([*RUN, "solver.num_steps=5", "solver=rk4"])
    assert (config.solver.name, config.solver.num_steps, config.solver.shift) == ("rk4", 5, 3.0)
    assert compose_run([*RUN, "solver=euler"]).solver.num_steps == 30


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("modality.heigth=3", "unknown key 'modality.heigth'. Did you mean 'modality.height'?"),
        ("modality.height=abc", "modality.height must be a whole number, got 'abc'"),
        ("modality.height=1.5", "modality.height must be a whole number, got 1.5"),
        ("modality.height=true", "modality.height must be a whole number, got true"),
        ("modality.height=", "modality.height must be a whole number, got ''"),
        ("modality.height=null", "modality.height must be a whole number, got null."),
        ("modality.height.x=3", "'modality.height.x'. Did you mean 'modality.height'?"),
        ("modality.toy.heigth=3", "'modality.heigth'. Did you mean 'modality.height'?"),
        ("modality.HEIGHT=3", "Did you mean 'modality.height'?"),
        ("modality..height=3", "'modality..height'. Did you mean 'modality.height'?"),
        ("modality.=3", "Known: modality.height, modality.ratio"),
        ("modality.toy=3", "unknown key 'modality.toy'. Known: modality.height"),
        ("modality.ratio=x", "modality.ratio must be a number, got 'x'"),
        ("modality.sizes={a:1}", "modality.sizes must be a list [a,b] or null, got {'a': 1}"),
        ("modality.height=0", "modality: height must be at least 1"),
        ("modality.sizes=3", "modality.sizes must be a list"),
        ("modality.sizes=[1,x]", "modality.sizes[1] must be a whole number"),
        ("solver.num_step=3", "unknown key 'solver.num_step'. Did you mean 'solver.num_steps'?"),
        ("num_steps=3", "unknown key 'num_steps'. Did you mean 'solver.num_steps'?"),
        ("sedd=3", "unknown key 'sedd'. Did you mean 'seed'?"),
        ("+nope=3", "unknown key 'nope'."),
        ("~seed=3", "Drop the ~"),
        (
            "solver=eulre",
            "heun, midpoint, ping_pong, rk4, unipc. Did you mean 'euler'?",
        ),
        ("rope_scaling=3", "a block of keys"),
        ("seed.x=3", "unknown key 'seed.x'. Did you mean 'seed'?"),
        ("solver.num_steps.x=3", "Did you mean 'solver.num_steps'?"),
        ("solver.num_steps={a:3}", "solver.num_steps must be a whole number, got {'a': 3}"),
        ("solver.num_steps={}", "solver.num_steps must be a whole number, got {}"),
        ("json=maybe", "json must be true or false, got 'maybe'"),
        ("guidance.channels=x", "guidance.channels must be a whole number or null, got 'x'"),
        ("seed=1,2", "-m makes one job of each value"),
        ("seed=(", "cannot be read"),
        ("seed=-1", "seed is -1"),
        ("seed=9223372036854775808", "seed is"),
        ("num_samples=0", "num_samples is 0"),
        ("guidance.interval=[0.5]", "guidance.interval must be a list of 2 values"),
        ("longest_side=0", "longest_side is 0.0; set a finite number above 0"),
        ("longest_side=nan", "longest_side is nan; set a finite number above 0"),
        ("position_limit=-1", "position_limit is -1.0; set a finite number above 0"),
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
        (compose_train, "sample_every=0", "num_sample_prompts=2"),
        (compose_run, "coarse.above=null", "coarse.tokens=50"),
        (compose_evaluate, "coarse.above=null", "coarse.strength=0.5"),
    ],
)
def test_a_key_that_another_one_switches_off_is_refused(toy, compose, switch, key):
    words = RUN if compose is compose_run else RUN[:1]
    for order in ([switch, key], [key, switch]):
        with pytest.raises(LuminaError, match=f"{key} has no effect with .*{switch.split('=')[1]}"):
            compose([*words, *order])
    compose([*words, switch])  # what YAML says beside it disturbs nobody


def test_one_split_needs_no_brackets(toy):
    assert compose_evaluate(["+modality=toy", "splits=trained"]).splits == ("trained",)
    assert compose_evaluate(["+modality=toy", "splits=[a,b]"]).splits == ("a", "b")
    assert compose_evaluate(["+modality=toy", "splits=null"]).splits is None


def test_an_option_of_another_modality_is_refused(toy):
    with pytest.raises(LuminaError, match="option of 'video'; the modality in use is 'toy'"):
        compose_run([*RUN, "modality.video.height=80"])


def test_the_yaml_of_a_plugin_reads_no_environment(write_distribution, monkeypatch):
    monkeypatch.setenv("SECRET", "heun")
    yaml = "sampling: {solver: {name: '${oc.env:SECRET}'}}"
    write_distribution("lumina-toy", "toy", yaml=yaml)
    with pytest.raises(LuminaError, match=r"solver\.name is '\$\{oc\.env:SECRET\}'"):
        compose_run(RUN)


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
    with pytest.raises(LuminaError, match=r"evaluate takes one modality, and .* names 2"):
        compose_evaluate(["+modality=[toy,two]"])
    assert compose_train(["modality=[toy]"]).modality == "toy"
    assert compose_run([*RUN, "modality.toy.height=5"]).options.height == 5


def test_mistakes_of_a_plugin_name_its_file(write_distribution):
    write_distribution("lumina-toy", "toy", yaml="height: 3\nsampling: {solver: {steps: 3}}\n")
    said = r"conf/modality/toy\.yaml: height has its default in Options, .* delete it there"
    with pytest.raises(LuminaError, match=said):
        compose_run(RUN)
    write_distribution("lumina-two", "two", yaml="sampling: {solver: {steps: 3}}\n")
    with pytest.raises(LuminaError, match=r"'solver\.steps' in .*/modality/two\.yaml, sampling"):
        compose_run(["+modality=two", "prompt=x"])
    write_distribution("lumina-three", "three", yaml="height: [1\n")
    with pytest.raises(LuminaError, match=r"three\.yaml cannot be read"):
        compose_run(["+modality=three", "prompt=x"])


def test_train_takes_the_training_recommendation(toy):
    config = compose_train(["+modality=toy", "modality.patch_size=4", "backbone.depth=2"])
    assert (config.token_budget, config.time.mean, config.time.std) == (512, -0.7, 1.0)
    assert (config.options.patch_size, config.backbone.depth) == (4, 2)
    assert config.out == "outputs/toy-checkpoint"
    assert compose_train(["+modality=toy", "token_budget=8"]).token_budget == 8


@pytest.mark.parametrize(
    "backbone", ["tiny", "600m", "5b", "7b", "next_dit", "lumina_image_2", "z_image"]
)
def test_every_backbone_composes(toy, backbone):
    config = compose_train(["+modality=toy", f"backbone={backbone}"]).backbone
    assert config.token_dims == {}
    assert config.head_dim % 2 == 0


def test_every_choice_of_every_group_composes(toy):
    for command, compose, words in ((INFER, compose_run, RUN), (TRAIN, compose_train, RUN[:1])):
        for group, block in command.groups.items():
            for choice in choices_of(group, block):
                begun = ["init_from=demo"] if group in ("adapter", "objective") else []
                compose([*words, *begun, f"{group}={choice}"])


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
        compose_run([*RUN, "solver=heun"])
        assert compose("solver/rk4").solver.num_steps > 0


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
    with pytest.raises(
        LuminaError, match=r"data\.name is 'floder'; choose one of synthetic, folder"
    ):
        compose_train([*train, "data.name=floder"])
    for value in ("[a]", "{a: 1}", "null", "5"):
        with pytest.raises(LuminaError, match=r"data\.name is .*; choose one of synthetic"):
            compose_train([*train, f"data.name={value}"])
    with pytest.raises(LuminaError, match=r"data\.path.* data=folder or data=manifest"):
        compose_train([*train, "data.path=x"])
