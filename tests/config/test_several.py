"""Words, files and recommendations of several modalities that are trained together."""

from dataclasses import replace

import pytest

from lumina_core import LuminaError
from lumina_core.cli.commands import known_names
from lumina_core.cli.completion import complete
from lumina_core.cli.main import main
from lumina_core.config.compose import composed
from lumina_core.config.several import disputed, shared_advice
from lumina_core.records import flat
from lumina_core.training.compose import TRAIN, compose_train
from lumina_core.training.settings import shares_of

BOTH = "+modality=[image,audio]"


def test_each_modality_has_its_options_and_data_and_all_share_the_rest():
    words = ["modality.image.height=32", "modality.audio.seconds=1.5", "data.pool_size=9"]
    words += ["data.audio.pool_size=7", "data.image=folder", "data.image.path=/pictures"]
    config = compose_train([BOTH, *words, "mixing.audio=0.2", "optimizer.warmup_steps=3"])
    image, audio = config.members["image"], config.members["audio"]
    assert (image.options.height, audio.options.seconds) == (32, 1.5)
    assert (image.data.name, image.data.path, image.data.pool_size) == ("folder", "/pictures", 9)
    assert (audio.data.name, audio.data.pool_size) == ("synthetic", 7)
    assert (image.share, audio.share) == pytest.approx((0.8, 0.2))
    assert config.optimizer.warmup_steps == 3
    assert config.out == "outputs/image-audio-checkpoint"
    assert list(compose_train(["modality=audio,image"]).members) == ["audio", "image"]
    assert list(compose_train(["modality=image"]).members) == ["image"]


def test_what_is_drawn_for_samples_is_of_each_modality():
    words = ["+modality=[image,video]", "time.video.shift=2", "time.image=uniform"]
    words += ["caption_dropout=0.3", "caption_dropout.video=0.4", "condition_share.image=0"]
    members = compose_train(words).members
    image, video = members["image"], members["video"]
    assert (image.time.distribution, video.time.distribution) == ("uniform", "logit_normal")
    assert (video.time.shift, video.time.mean) == (2, -1.6)  # its own recommendation
    assert (image.caption_dropout, video.caption_dropout) == (0.3, 0.4)
    assert (image.condition_share, video.condition_share) == (0, 0.2)
    assert (image.position_jitter, video.position_jitter) == (0, 0.3)


def test_the_own_value_of_a_modality_wins_in_whichever_order():
    words = [BOTH, "data.audio.pool_size=7", "data.pool_size=9"]
    assert compose_train(words).members["audio"].data.pool_size == 7


@pytest.mark.parametrize(
    ("word", "message"),
    [
        (
            "modality.height=32",
            "modality.height names no modality of this run; write modality.image.",
        ),
        ("modality.image.heigth=32", "image: unknown key 'modality.heigth'. Did you mean"),
        ("modality.video.height=32", "modality.video.height names no modality of this run"),
        ("data.image.path=/x", "image: data.path has no effect here; it belongs to data=folder"),
        ("data.audio.pool_size=0", "audio: data.pool_size is 0"),
        ("data.pool_size=0", "error: data.pool_size is 0"),
        ("max_steps=0", "error: max_steps is 0"),
        ("mixing.video=1", "unknown key 'mixing.video'"),
        ("mixing.image=0", "mixing.image is 0"),
        ("mixing.image=x", "mixing.image must be"),
        ("mixing.image=1.5", "mixing gives 1.5 of the tokens away, which leaves nothing for audio"),
        ("modality=[image,image]", "+modality names image twice"),
        ("modality=[image,imagf]", "'imagf'"),
    ],
)
def test_mistakes_are_one_line_that_names_the_modality(refusal, word, message):
    assert message in refusal("config", "train", BOTH, word)


@pytest.mark.parametrize("word", ["adapter=lora", "start_data=/pictures"])
def test_what_is_of_one_modality_is_refused(word, clean_refusal):
    error = clean_refusal("train", BOTH, "init_from=/nowhere", "validate_every=1", word)
    assert "is for one modality, not for image, audio. Choose one: +modality=image" in error


def test_settings_of_several_modalities_go_through_a_file(tmp_path, capsys):
    words = [BOTH, "modality.image.patch_size=1", "data.image=folder", "data.image.path=/pictures"]
    words += ["data.audio.refresh_per_step=2", "mixing.image=0.25", "seed=4", "time.audio.mean=-3"]
    words += ["condition_share.image=0.5"]
    assert main(["config", "train", *words]) == 0
    text = capsys.readouterr().out
    assert "modality: [image, audio]" in text
    path = tmp_path / "joint.yaml"
    path.write_text(text)
    read, written = compose_train([f"config={path}"]), compose_train(words)
    assert read == replace(written, note=None)  # all of it is chosen now
    more = [f"config={path}", "data.image.path=/others", "mixing.image=0.5", "seed=5"]
    changed = compose_train(more)
    assert (changed.seed, changed.members["image"].data.path) == (5, "/others")
    assert changed.members["image"].share == 0.5
    path.write_text(text.replace("refresh_per_step: 2", "refresh_per_step: -2"))
    with pytest.raises(LuminaError, match=r"audio: .*data.refresh_per_step is -2"):
        compose_train([f"config={path}"])


def test_help_config_and_completion_know_the_keys_of_each(capsys):
    assert main(["train", "--help", BOTH, "mixing.image=0.3"]) == 0
    told = capsys.readouterr().out
    for part in ("modality.image.height=64", "data.audio.pool_size=", "mixing.image=0.3"):
        assert part in told
    assert "modality.height" not in told
    names = known_names("train", [BOTH])
    assert {"mixing.audio", "data.image.path", "modality.audio.seconds"} <= set(names)
    assert complete(["train", BOTH, "mixing."]) == ["mixing.image=", "mixing.audio="]
    assert "modality.audio.seconds=" in complete(["train", BOTH, "modality.audio."])
    assert "data.image.path=" in complete(["train", BOTH, "data.image."])


DEFAULTS = {
    "max_steps": 5,
    "token_budget": 9,
    "decay": 0.0,
    "backbone.rope_dims": [0, 8, 8],
}


def test_recommendations_hold_where_all_agree_and_where_all_can_live_with_one():
    advice = {
        "a": {"max_steps": 7, "decay": -1.0, "log_every": 3, "data.pool_size": 4},
        "b": {"max_steps": 8, "log_every": 3, "backbone.rope_dims": [6, 5, 5], "token_budget": 4},
    }
    defaults = DEFAULTS | {"log_every": 1}
    found = shared_advice(advice, defaults, TRAIN)
    assert found == {
        "max_steps": 8,
        "log_every": 3,
        "backbone.rope_dims": [6, 5, 5],  # has every axis that one of them has
        "token_budget": 9,
    }
    values = defaults | found
    note = disputed(advice, values, ["max_steps", "decay", "log_every", "token_budget"])
    assert note == (
        "note: a, b recommend different values; used are max_steps=8 decay=0.0 token_budget=9"
    )
    assert disputed(advice, values, ["log_every"]) is None
    advice["a"]["backbone.rope_dims"] = [0, 0, 16]
    advice["b"]["backbone.rope_dims"] = [16, 0, 0]
    assert "backbone.rope_dims" not in shared_advice(advice, defaults, TRAIN)  # none covers both


def test_what_a_user_sets_is_no_matter_of_dispute():
    whole = composed(TRAIN, ["+modality=[image,video]"]).note
    assert whole.endswith("used are max_steps=4400")
    assert composed(TRAIN, ["+modality=[image,video]", "max_steps=9"]).note is None
    assert flat(composed(TRAIN, ["+modality=[image,video]"]).values)["optimizer.name"] == "muon"


def test_shares_sum_to_one():
    assert shares_of({"a": None, "b": None}) == {"a": 0.5, "b": 0.5}
    assert shares_of({"a": 3, "b": 1}) == {"a": 0.75, "b": 0.25}
    assert shares_of({"a": 0.5, "b": None, "c": None}) == {"a": 0.5, "b": 0.25, "c": 0.25}


def test_a_modality_may_be_called_as_a_word_of_python_is(write_distribution):
    for name in ("toy", "class"):
        write_distribution(f"lumina-{name}", name)
    config = compose_train(["+modality=[toy,class]", "mixing.class=0.25"])
    shares = {name: member.share for name, member in config.members.items()}
    assert shares == {"toy": 0.75, "class": 0.25}
