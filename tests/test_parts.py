"""What a plugin returns wrongly names the plugin, wherever the core takes it."""

import json
from dataclasses import asdict

import pytest
import torch
from new_packages import installed
from planting import LINE_ENCODE, LINE_WAVE, PARTS, WORLD, edit

from lumina_core import decoder as decoder_module
from lumina_core import host
from lumina_core import modality as modality_module
from lumina_core.cli import main
from lumina_core.config import compose_options
from lumina_core.errors import PluginError
from lumina_core.modality import Given
from lumina_core.parts import _METHODS, _PARTS, _VALUES, make_modality

WRONG = {
    "media_shape": [96], "fit": None, "coarser": {}, "enlarged": 5, "decode": [0.0],
    "read": "a text", "described": None, "features": torch.zeros(3),
    "condition": Given([1], torch.zeros(1, 1, 1)), "grid": (1, 1, 2),
    "tokenize": torch.zeros(2, 3, dtype=torch.int64), "detokenize": torch.zeros(3),
    "latent_shape": (1, 1, 1), "encode": torch.zeros(1, 1, 4), "pixels": None,
    "read_metadata": [], "preview": torch.zeros(3, 2, 2), "tasks": "task", "caption": b"sine",
    "task_of": None, "variants": ({"samples": 3}, 4), "draw": [1.0], "judge": {"form": 1},
    "nearest": 3,
    "feature_dim": "2", "token_dim": 0, "folder": "here", "suffixes": ".csv",
    "read_suffixes": [".csv"], "folder_suffixes": ".x", "folder_files": (1,), "version": 1,
    "splits": ["trained"],
}  # fmt: skip
NAMES = [(kind, name) for table in (_METHODS, _VALUES) for kind in table for name in table[kind]]


UNCHECKED = {
    "options": "a class of the plugin's own, which a record checks",
    "world": "a part", "vae": "a part", "decoder": "a part", "tokenizer": "a part",
    "to": "nobody takes what it returns", "write": "it returns nothing",
    "check_format": "it returns nothing", "has_preview_file": "true or false, as it is asked",
}  # fmt: skip


def test_every_name_of_the_contract_is_checked():
    protocols = [
        value
        for module in (modality_module, decoder_module)
        for value in vars(module).values()
        if getattr(value, "_is_protocol", False) and value.__module__ == module.__name__
    ]
    names = {
        name
        for protocol in protocols
        for name in (*vars(protocol), *protocol.__annotations__)
        if not name.startswith("_")
    }
    assert names - {name for _, name in NAMES} == set(UNCHECKED)


class Stub:
    """Has whatever it is given."""

    def __init__(self, **given):
        vars(self).update(given)


@pytest.fixture
def make(toy, monkeypatch):
    """A modality whose parts have one thing each, made as the core makes it."""

    def modality(kind, **given):
        parts = {name: Stub() for name in _PARTS}
        if kind in parts:
            parts[kind] = Stub(**given)
            given = {}
        made = Stub(options=compose_options("toy"), **parts, **given)
        monkeypatch.setattr(host, "modality_class", lambda name: lambda options, folder: made)
        found = make_modality("toy", made.options, None)
        return getattr(found, kind) if kind in parts else found

    return modality


@pytest.mark.parametrize(("kind", "name"), NAMES)
def test_a_wrong_value_names_plugin_method_value_and_what_is_wanted(make, kind, name):
    wrong = WRONG[name]
    is_method = name in _METHODS[kind]
    part = make(kind, **{name: (lambda *words, **more: wrong) if is_method else wrong})
    with pytest.raises(PluginError) as raised:
        found = getattr(part, name)
        found("anything", more=1) if is_method else found
    said = str(raised.value)
    where = f"its {name}" if kind == "modality" else f"its {kind}.{name}"
    wanted = (_METHODS if is_method else _VALUES)[kind][name].what
    assert said.startswith(f"Modality 'toy' (lumina-toy 0.1): {where} ")
    assert (" returned " in said) == is_method
    assert said.endswith(f"; {wanted} is wanted")
    assert "\n" not in said and len(said) < 250


@pytest.mark.parametrize("name", ["splits", "tasks"])
def test_a_world_without_splits_or_tasks_is_named(make, name):
    is_method = name in _METHODS["world"]
    part = make("world", **{name: (lambda split: ()) if is_method else ()})
    with pytest.raises(PluginError, match=rf"its world\.{name} .*a tuple of one text or more"):
        found = getattr(part, name)
        found("trained") if is_method else found


@pytest.mark.parametrize(("kind", "name"), NAMES)
def test_a_name_that_is_not_there_is_told_unless_it_may_be_left_out(make, kind, name):
    want = {**_METHODS[kind], **_VALUES.get(kind, {})}[name]
    part = make(kind)
    if want.is_optional:
        assert not hasattr(part, name)
        return
    with pytest.raises(PluginError, match=rf"\.?{name} is not there; .* is wanted"):
        getattr(part, name)


def test_what_a_line_of_the_plugin_raises_is_no_missing_name(make, monkeypatch):
    part = make("vae")
    broken = property(lambda self: self.network)
    monkeypatch.setattr(type(part.part), "folder", broken, raising=False)
    with pytest.raises(AttributeError, match="no attribute 'network'"):
        _ = part.folder


def test_what_the_contract_does_not_name_is_handed_on(make):
    part = make("vae", extra=5, to=lambda device: "self")
    assert (part.extra, part.to("cpu")) == (5, "self")
    part.extra = 6
    assert part.part.extra == 6


def test_a_part_stays_one_object(make):
    modality = make("modality")
    assert modality.vae is modality.vae
    modality.vae = other = Stub()
    assert modality.vae.part is other
    modality.world = None
    assert modality.world is None
    modality.vae = Stub
    with pytest.raises(PluginError, match="its vae is the class Stub, not an object"):
        _ = modality.vae


def test_a_class_that_takes_other_arguments_is_named(write_distribution):
    write_distribution("lumina-toy", "toy", toy="class Toy: ...\n")
    with pytest.raises(PluginError, match=r"its class Toy cannot be called as Toy\(options, vae_f"):
        make_modality("toy", compose_options("toy"), None)


@pytest.mark.parametrize("name", host.SHIPPED)
def test_the_shipped_plugins_return_what_is_wanted(name, tmp_path):
    """The parts of each are used once; a wrong one raises."""
    demo = host.demo_folder(name)
    assert demo is not None
    options = compose_options(name)
    modality = make_modality(
        name, options, demo / "vae" / name if hasattr(options, "vae") else None
    )
    world, generator = modality.world, torch.Generator().manual_seed(0)
    for split in world.splits:
        assert world.tasks(split) and world.variants(split) is not None
    caption = world.caption(world.splits[0], generator)
    media = world.draw(caption, options, generator)
    assert tuple(media.shape) == tuple(modality.media_shape(options))
    assert world.judge(media, caption, options) and world.task_of(caption)
    grid = modality.tokenizer.grid(modality.vae.latent_shape(tuple(media.shape)))
    if hasattr(modality, "features"):
        assert len(modality.features(options, grid)) == grid.frames
    path = tmp_path / f"one{modality.decoder.suffixes[0]}"
    request = {"prompt": caption, "options": json.loads(json.dumps(asdict(options)))}
    modality.decoder.write(media, path, request)
    assert modality.decoder.read_metadata(path) == request
    modality.decoder.preview(modality.decoder.read(path))


WRONG_PARTS = {
    "world.draw": (WORLD, LINE_WAVE, "return wave.tolist()"),
    "vae.encode": (PARTS, LINE_ENCODE, "return media"),
    "media_shape": (PARTS, "return (options.samples,)", "return options.samples"),
}


@pytest.mark.parametrize("part", WRONG_PARTS)
def test_a_command_names_the_plugin_in_one_line(part, tmp_path, monkeypatch, work, capsys):
    edits = (WRONG_PARTS[part],)
    words = ["max_steps=1", "num_threads=1", "data.pool_size=2", "data.refresh_per_step=0"]
    with installed("sprout", "line", tmp_path, monkeypatch, lambda package: edit(package, edits)):
        assert main(["train", "+modality=sprout", "out=run", *words]) == 1
    err = capsys.readouterr().err
    assert err.startswith(f"error: Modality 'sprout' (lumina-sprout 0.1.0): its {part} returned ")
    assert err.endswith(" is wanted. Tell its author\n") and err.count("\n") == 1
