"""The keys as help and messages know them."""

import pytest

from lumina_core.config.keys import (
    IDLE_KEYS,
    command_keys,
    conf_root,
    group_choices,
    group_defaults,
    read_keys,
)
from lumina_core.errors import closest


def test_every_switch_names_keys_and_choices_that_exist():
    for key, (switch, idle_values) in IDLE_KEYS.items():
        commands = [c for c in ("run", "train") if key in {k.name for k in command_keys(c)}]
        assert commands
        for command in commands:
            assert switch in {known.name for known in command_keys(command)}
            group = switch.partition(".")[0]
            if group in group_defaults(command):
                assert set(idle_values) <= set(group_choices(group))


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


def test_help_reads_the_same_keys_as_hydra():
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


def test_help_says_which_choice_a_key_belongs_to():
    meanings = {key.name: key.meaning for key in command_keys("train")}
    assert meanings["data.path"].startswith("with data=folder or manifest: ")
    assert meanings["data.pool_size"] == "samples kept encoded"
