"""What a plugin returns wrongly names the plugin, wherever the core takes it."""

import json
from dataclasses import asdict
from inspect import isfunction
from pathlib import Path

import pytest
import torch
from new_packages import installed
from planting import LINE_ENCODE, LINE_WAVE, PARTS, WORLD, edit

from lumina_core.cli.main import main
from lumina_core.config.compose import compose_options
from lumina_core.errors import LuminaError, PluginError
from lumina_core.media.patches import PatchTokenizer
from lumina_core.modality import VAE, Given, SizeLimits, has_weights, members
from lumina_core.plugins import demos, host
from lumina_core.plugins.parts import _BASES, _WANTS, make_modality

WRONG = {
    "media_shape": [96], "fit": None, "coarser": {}, "enlarged": 5, "decode": [0.0],
    "read": "a text", "described": {}, "features": torch.zeros(3),
    "condition": Given([1], torch.zeros(1, 1, 1)), "grid": (1, 1, 2),
    "tokenize": torch.zeros(2, 3, dtype=torch.int64), "detokenize": torch.zeros(3),
    "latent_shape": (1, 1, 1), "encode": torch.zeros(1, 1, 4), "pixels": None,
    "read_metadata": [], "preview": torch.zeros(3, 2, 2), "tasks": "task", "caption": b"sine",
    "task_of": None, "variants": ({"samples": 3}, 4), "draw": [1.0], "judge": {"form": 1},
    "nearest": 3, "plainest": 3, "vocabulary": ["sine"],
    "feature_dim": "2", "token_dim": 0, "folder": "here", "suffixes": ".csv",
    "read_suffixes": [".csv"], "folder_suffixes": ".x", "folder_files": (1,), "version": 1,
    "splits": ["trained"],
}  # fmt: skip
NAMES = [(kind, name) for kind in _WANTS for name in _WANTS[kind] if name not in _BASES]

UNCHECKED = {
    "options": "a class of the plugin's own, which a record checks",
    "world": "a part", "vae": "a part", "decoder": "a part", "tokenizer": "a part",
    "to": "nobody takes what it returns", "write": "it returns nothing; a file is there",
    "check_format": "it returns nothing", "has_preview_file": "true or false, as it is asked",
    "check_suffix": "it returns nothing", "noun": "stands in messages alone",
    "writes": "true or false, as it is asked",
    "array": "for those who use it", "image": "for those who use it",
}  # fmt: skip


def test_every_name_of_the_contract_is_checked():
    names = {name for base in _BASES.values() for name in members(base)}
    assert names - {name for _, name in NAMES} == set(UNCHECKED)


def stub(kind, **given):
    """The class of a part that has whatever it is given, and nothing that it must have beside."""
    base = _BASES[kind]
    return type("Stub", (base,), dict.fromkeys(base.__abstractmethods__) | given)


@pytest.fixture
def make(toy, monkeypatch):
    """A modality whose parts have one thing each, made as the core makes it."""

    def modality(kind, **given):
        parts = {name: stub(name)() for name in _BASES if name != "modality"}
        if kind in parts:
            parts[kind] = stub(kind, **given)()
            given = {}
        options = compose_options("toy")
        made = stub("modality", **parts | given)
        monkeypatch.setattr(host, "modality_class", lambda name: made)
        found = make_modality("toy", options, None)
        return getattr(found, kind) if kind in parts else found

    return modality


@pytest.mark.parametrize(("kind", "name"), NAMES)
def test_a_wrong_value_names_plugin_method_value_and_what_is_wanted(make, kind, name):
    wrong = WRONG[name]
    is_method = isfunction(getattr(_BASES[kind], name, None))
    part = make(kind, **{name: (lambda *words, **more: wrong) if is_method else wrong})
    with pytest.raises(PluginError) as raised:
        found = getattr(part, name)
        found("anything", more=1) if is_method else found
    said = str(raised.value)
    where = f"its {name}" if kind == "modality" else f"its {kind}.{name}"
    wanted = _WANTS[kind][name].what
    assert said.startswith(f"Modality 'toy' (lumina-toy 0.1): {where} ")
    assert (" returned " in said) == is_method
    assert said.endswith(f"; {wanted} is wanted")
    assert "\n" not in said and len(said) < 250


@pytest.mark.parametrize("name", ["splits", "tasks"])
def test_a_world_without_splits_or_tasks_is_named(make, name):
    part = make("world", splits=(), tasks=lambda self, split: ())
    with pytest.raises(PluginError, match=rf"its world\.{name} .*a tuple of one text or more"):
        _ = part.splits if name == "splits" else part.tasks("trained")


VALUES = [
    ("tokenizer", "token_dim"),
    ("decoder", "suffixes"),
    ("world", "version"),
    ("world", "splits"),
]


@pytest.mark.parametrize(("kind", "name"), VALUES)
def test_a_value_that_is_not_there_is_told(make, kind, name):
    part = make(kind)
    with pytest.raises(PluginError, match=rf"its {kind}\.{name} is not there; .* is wanted"):
        getattr(part, name)


def test_a_part_that_lacks_a_method_cannot_be_made():
    with pytest.raises(TypeError, match=r"abstract class Half .*decode.*latent_shape"):
        type("Half", (VAE,), {"encode": None})()


def test_what_is_left_out_is_as_the_base_class_has_it(make, toy):
    decoder = make("decoder", suffixes=(".csv",), preview=lambda self, media, options: media)
    assert decoder.read_suffixes == (".csv",) and not decoder.has_preview_file
    assert (decoder.folder_suffixes, decoder.folder_files) == ((), ())
    assert decoder.check_format(".csv", (3,), None) is None
    with pytest.raises(
        LuminaError, match=r"out=a\.wav ends in '\.wav'; media are written as \.csv"
    ):
        decoder.check_suffix(Path("a.wav"))
    picture = torch.arange(3 * 2 * 4, dtype=torch.uint8).reshape(3, 2, 4)
    assert decoder.image(picture, None).size == (4, 2)
    assert decoder.image(picture, None).getpixel((1, 0)) == (1, 9, 17)
    assert decoder.array(torch.tensor([1.0, 2.0])).tolist() == [1.0, 2.0]
    modality = make("modality")
    options = modality.options
    assert modality.world is not None and modality.feature_dim == 0
    assert modality.features(options, None) is None and modality.coarser(options, 0.5) is None
    assert modality.described(Path("a"), picture, options) is options
    assert make("vae").folder is None and make("world").nearest("anything") is None


@pytest.mark.parametrize(("limits", "said"), [((5, 9), "4 tokens; .* 5 to 9"), ((1, 3), "1 to 3")])
def test_media_from_files_stay_as_they_are_within_the_limits(make, limits, said):
    modality = make("modality")
    latent_shape = lambda self, shape: (1, 1, *shape)  # noqa: E731
    patches = PatchTokenizer(1, (1, 1, 2), lambda f, r, c: (0.0, 0.0, 1.0))
    modality.tokenizer, modality.vae = patches, stub("vae", latent_shape=latent_shape)()
    media = torch.zeros(1, 8)
    assert modality.fit(media, SizeLimits(4, 4, 1.0)) is media
    with pytest.raises(LuminaError, match=said):
        modality.fit(media, SizeLimits(*limits, 1.0))


def test_what_a_line_of_the_plugin_raises_is_no_missing_name(make, monkeypatch):
    part = make("vae")
    broken = property(lambda self: self.network)
    monkeypatch.setattr(type(part.part), "folder", broken, raising=False)
    with pytest.raises(AttributeError, match="no attribute 'network'"):
        _ = part.folder


def test_what_the_contract_does_not_name_is_handed_on(make):
    part = make("vae", extra=5, to=lambda self, device: "self")
    assert (part.extra, part.to("cpu")) == (5, "self")
    part.extra = 6
    assert part.part.extra == 6


def test_a_decoder_that_writes_nothing_is_named(make, tmp_path):
    path = tmp_path / "a.csv"
    part = make("decoder", write=lambda self, media, path, *more: path.touch())
    part.write(None, path, {})
    part = make("decoder", write=lambda self, media, path, *more: None)
    part.write(None, path, {})  # it is there
    with pytest.raises(PluginError, match=r"its decoder\.write wrote nothing where it was told to"):
        part.write(None, tmp_path / "b.csv", {})


def test_a_part_stays_one_object(make):
    modality = make("modality")
    assert modality.vae is modality.vae
    modality.vae = other = stub("vae")()
    assert modality.vae.part is other
    modality.world = None
    assert modality.world is None
    modality.vae = type(other)
    with pytest.raises(PluginError, match="its vae is the class Stub, not an object"):
        _ = modality.vae
    modality.vae = object()
    with pytest.raises(
        PluginError, match=r"of type object; .* that inherits lumina_core\.VAE is wa"
    ):
        _ = modality.vae


def test_a_class_that_takes_other_arguments_is_named(write_distribution):
    write_distribution("lumina-toy", "toy", toy="class Toy: ...\n")
    with pytest.raises(PluginError, match=r"its class Toy cannot be called as Toy\(options, vae_f"):
        make_modality("toy", compose_options("toy"), None)


def test_a_class_that_does_not_inherit_is_named(write_distribution):
    toy = "class Toy:\n    def __init__(self, options, folder): ...\n"
    write_distribution("lumina-toy", "toy", toy=toy)
    with pytest.raises(PluginError, match=r"its class Toy does not inherit lumina_core\.Modality"):
        make_modality("toy", compose_options("toy"), None)


@pytest.mark.parametrize("name", host.SHIPPED)
def test_the_shipped_plugins_return_what_is_wanted(name, tmp_path):
    """The parts of each are used once; a wrong one raises."""
    demo = demos.demo_folder(name)
    assert demo is not None
    options = compose_options(name)
    modality = make_modality(name, options, demo / "vae" / name if has_weights(options) else None)
    world, generator = modality.world, torch.Generator().manual_seed(0)
    for split in world.splits:
        assert world.tasks(split) and world.variants(split) is not None
    caption = world.caption(world.splits[0], generator)
    media = world.draw(caption, options, generator)
    assert tuple(media.shape) == tuple(modality.media_shape(options))
    assert world.judge(media, caption, options) and world.task_of(caption)
    grid = modality.tokenizer.grid(modality.vae.latent_shape(tuple(media.shape)))
    features = modality.features(options, grid)
    assert (0 if features is None else len(features)) in (0, grid.frames)
    path = tmp_path / f"one{modality.decoder.suffixes[0]}"
    request = {"prompt": caption, "options": json.loads(json.dumps(asdict(options)))}
    modality.decoder.write(media, path, request, options)
    assert modality.decoder.read_metadata(path) == request
    modality.decoder.preview(modality.decoder.read(path), options)


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
