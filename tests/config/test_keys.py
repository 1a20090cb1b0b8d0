"""The keys as help and messages know them."""

from dataclasses import fields

import pytest

from lumina_core.cli.commands import CONFIGURED
from lumina_core.config.keys import choices_of, record_keys
from lumina_core.config.values import compose_choice
from lumina_core.errors import closest
from lumina_core.records import build, flat, plain

COMMANDS = {name: each.command for name, each in CONFIGURED.items()}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_key_of_the_core_says_what_it_means(name):
    for key in record_keys(COMMANDS[name].record):
        assert key.about.meaning, key.name


@pytest.mark.parametrize("name", COMMANDS)
def test_every_switch_is_a_key_and_can_be_thrown(name):
    keys = {key.name: key for key in record_keys(COMMANDS[name].record)}
    for key in keys.values():
        for beside, values in key.about.idle.items():
            block = key.name.rpartition(".")[0]
            name = f"{block}.{beside}" if block else beside
            choices = keys[name].about.choices or values
            if beside == "name" and block in keys:  # the group's choices, which have the names
                choices = keys[block].about.choices
            assert set(values) <= set(choices)


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
    names = [key.name for name in ("run", "train") for key in record_keys(COMMANDS[name].record)]
    assert closest(written, names) == meant


@pytest.mark.parametrize("name", COMMANDS)
def test_keys_are_those_of_the_values(name):
    command = COMMANDS[name]
    values = flat(plain(command.record))
    names = {key.name for key in record_keys(command.record)} - command.groups.keys()
    others = {
        f"{group}.{field.name}"
        for group, block in command.groups.items()
        for record in block.others.values()
        for field in fields(record)
    }
    assert names - (others - values.keys()) == values.keys()


@pytest.mark.parametrize("name", COMMANDS)
def test_the_default_choice_of_a_group_is_its_record_and_each_choice_fits_one(name):
    for group, block in COMMANDS[name].groups.items():
        for choice in choices_of(group, block):
            chosen = compose_choice(group, block, choice)
            record = block.others.get(choice, block.record)
            built = build(record, chosen, f"{group}.")
            if choice == block.choice:
                assert built == build(record, plain(record))


def test_help_says_which_choice_a_key_belongs_to():
    found = {key.name: key.description for key in record_keys(COMMANDS["train"].record)}
    assert found["data.path"].startswith("with data=folder or manifest or shards or cache: ")
    assert found["data.pool_size"] == "samples kept encoded (1 or more)"
