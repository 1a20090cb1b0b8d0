"""Models in other layouts: there and back equal to the bit, and read by other programs."""

import shutil

import pytest
import torch
from pipeline_pictures import PROMPT, theirs
from safetensors.torch import load_file, save_file
from single_files import fused, released
from small_adapters import random_changes

import lumina_core
from damage import limited_files
from lumina_core.backbone.low_rank import merged_weight
from lumina_core.backbone.roles import linear_layers
from lumina_core.checkpoints.adapter_writing import write_peft
from lumina_core.checkpoints.manifest import read_manifest
from lumina_core.cli.main import main
from lumina_core.flow.solver import integrate

SIZE = {"height": 64, "width": 64}
UNUSED = {"norm_final.weight": torch.full((48,), 3.0)}
FILE = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def converted(work, capsys):
    """Converts, and gives what the command said."""

    def convert(*words, code=0):
        capsys.readouterr()  # what making a pipeline said
        assert main(["convert", *map(str, words)]) == code
        told = capsys.readouterr()
        return told.err if code else told.out

    return convert


def weights_in(path):
    """All tensors of a file, or of the transformer in a folder."""
    if path.is_file():
        return load_file(path)
    names = (
        "transformer/" + FILE,
        FILE,
        "backbone.safetensors",
        "consolidated.00-of-01.safetensors",
    )
    return load_file(next(path / name for name in names if (path / name).is_file()))


def assert_equal(found, wanted):
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert found[name].dtype == value.dtype, name
        assert torch.equal(found[name], value), name


def latent_of(path, **more):
    """The noise and the sample of a request, as latents."""
    model = lumina_core.load(path, **{"solver.num_steps": 2}, **SIZE, **more)
    velocity = model.velocity(PROMPT)
    end = integrate(velocity, velocity.x_0, velocity.solver, times=velocity.times)
    return [velocity.latents(x)[0][None, :, 0] for x in (velocity.x_0, end)]


CHAINS = {
    "lumina2": ("lumina", "diffusers", "comfyui", "lumina", "released", "diffusers"),
    "z_image": ("comfyui", "diffusers", "lumina", "comfyui", "lumina", "diffusers"),
    "lumina_next": ("released", "lumina", "diffusers", "released", "diffusers"),
}
"""Layouts one after the other; each family ends as it began."""


def beside(path, folder):
    """Put the parts of a pipeline beside weights that bring none."""
    place = path.parent if path.is_file() else path
    for part in ("vae", "text_encoder", "tokenizer", "scheduler"):
        if not (place / part).exists():
            (place / part).symlink_to(folder / part)


@pytest.mark.parametrize("family", CHAINS)
def test_there_and_back_is_equal_to_the_bit(tiny_pipeline, converted, tmp_path, family):
    folder = tiny_pipeline(family).folder
    wanted, source = weights_in(folder), folder
    _, picture = latent_of(folder)
    for number, layout in enumerate(CHAINS[family]):
        (tmp_path / str(number)).mkdir()
        suffix = ".safetensors" * (layout == "comfyui")
        target = tmp_path / str(number) / f"model{suffix}"
        converted(source, target, "--to", layout)
        source = target
        if layout in ("comfyui", "released"):
            beside(source, folder)
        assert torch.equal(latent_of(source)[1], picture), layout
    assert_equal(weights_in(source), wanted)


def test_each_layout_is_what_other_programs_write(tiny_pipeline, converted, tmp_path):
    for family, layout, rule in (
        ("lumina2", "comfyui", lambda state: fused(state, "lumina2")),
        ("z_image", "comfyui", lambda state: fused(state, "z_image")),
        ("lumina_next", "released", released),
    ):
        folder, target = tiny_pipeline(family).folder, tmp_path / f"{family}.safetensors"
        converted(folder, target, "--to", layout)
        assert_equal(load_file(target), rule(weights_in(folder)))


@pytest.mark.parametrize("family", CHAINS)
def test_diffusers_reads_what_is_saved_for_it(tiny_pipeline, converted, tmp_path, family):
    import diffusers

    folder, pipeline = tiny_pipeline(family)
    converted(folder, tmp_path / "lumina")
    converted(tmp_path / "lumina", tmp_path / "back", "--to", "diffusers")
    loaded = getattr(diffusers, type(pipeline).__name__).from_pretrained(tmp_path / "back")
    loaded.set_progress_bar_config(disable=True)
    if family == "lumina_next":  # the size of its training stands in no weight
        loaded.default_image_size = pipeline.default_image_size
    noise, _ = latent_of(folder)
    pictures = [theirs(each, family, noise, 3.0) for each in (pipeline, loaded)]
    assert torch.equal(pictures[0][0], pictures[1][0])
    assert (pictures[0][1] == pictures[1][1]).all()


def test_what_a_release_never_uses_is_carried_along(tiny_pipeline, converted, tmp_path):
    folder = tiny_pipeline("lumina2").folder
    path = tmp_path / "release" / "model.safetensors"
    path.parent.mkdir()
    whole = fused(weights_in(folder), "lumina2") | UNUSED
    save_file(whole, path)
    beside(path, folder)
    converted(path, tmp_path / "a")
    converted(tmp_path / "a", tmp_path / "b", "--to", "diffusers")
    assert (tmp_path / "b" / "transformer" / "unused.safetensors").is_file()
    converted(tmp_path / "b", tmp_path / "c.safetensors", "--to", "comfyui")
    assert_equal(load_file(tmp_path / "c.safetensors"), whole)


def test_dtype_casts_and_is_kept_without_it(tiny_pipeline, converted, tmp_path):
    folder = tiny_pipeline("lumina2").folder
    converted(folder, tmp_path / "a.safetensors", "--to", "comfyui", "--dtype=bfloat16")
    half = load_file(tmp_path / "a.safetensors")
    assert {value.dtype for value in half.values()} == {torch.bfloat16}
    converted(tmp_path / "a.safetensors", tmp_path / "b", "--to", "diffusers")
    state = {k: v.to(torch.bfloat16) for k, v in weights_in(folder).items()}
    assert_equal(weights_in(tmp_path / "b"), state)


def test_mistakes_are_one_line_and_leave_nothing(
    tiny_pipeline, converted, tmp_path, tiny_checkpoint
):
    folder = tmp_path / "model"
    shutil.copytree(tiny_pipeline("z_image").folder, folder)
    (tmp_path / "there").mkdir()
    cases = (
        ([folder, tmp_path / "there"], "exists already"),
        ([folder, folder / "transformer" / "x"], "lies inside"),
        ([folder, tmp_path / "x", "--to", "comfyui"], "end in .safetensors, not "),
        ([folder, tmp_path / "x.safetensors", "--to", "diffusers"], "writes a folder"),
        ([folder, tmp_path / "x", "--to", "released"], "has no layout 'released'"),
        ([folder, tmp_path / "x", "--to", "nowhere"], "--to is 'nowhere'; use lumina"),
        ([folder, tmp_path / "x", "--dtype", "int8"], "--dtype is 'int8'; use float32"),
        ([folder], "convert takes SRC DST"),
        ([tmp_path / "no", tmp_path / "x"], "no checkpoint in"),
        ([tiny_checkpoint, tmp_path / "x", "--to", "diffusers"], "is of no released family"),
        ([folder, tmp_path / "x", "--to", "peft"], "has no layout 'peft'"),
        ([folder, tmp_path / "x", "--merge"], "has an empty name"),
        ([folder, tmp_path / "x", "--merge", tmp_path / "no.safetensors"], "there is no adapter"),
    )
    before = sorted(tmp_path.rglob("*"))
    for words, told in cases:
        said = converted(*words, code=2)
        assert told in said and said.count("\n") == 1, words
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(("layout", "name"), [("lumina", "x"), ("comfyui", "x.safetensors")])
def test_a_full_disk_leaves_nothing(tiny_pipeline, converted, tmp_path, layout, name):
    folder = tiny_pipeline("lumina2").folder
    with limited_files(100_000):
        said = converted(folder, tmp_path / name, "--to", layout, code=2)
    assert f"{tmp_path / name} cannot be written" in said and said.count("\n") == 1
    assert not [path for path in tmp_path.iterdir() if path.name != "work"]


def test_tied_weights_that_differ_are_refused(tiny_pipeline, converted, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(tiny_pipeline("lumina_next").folder, folder)
    path = folder / "transformer" / FILE
    weights = load_file(path)
    weights["layers.1.attn2.to_q.weight"] += 1
    save_file(weights, path)
    said = converted(folder, tmp_path / "x", "--to", "released", code=2)
    assert "layers.1.attn2.to_q.weight differs from layers.1.attn1.to_q.weight" in said
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("layout", ["lumina", "diffusers", "comfyui"])
def test_a_merged_adapter_gives_what_it_gives_beside_its_model(
    tiny_pipeline, converted, tmp_path, layout
):
    folder = tiny_pipeline("z_image").folder
    network = lumina_core.load(folder, **SIZE).checkpoint.backbone
    layers = linear_layers(network, ["attention", "projections"])
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    write_peft(adapter, random_changes(network, layers, is_dora=True), torch.float32)
    _, expected = latent_of(folder, adapters=[f"{adapter}:0.5"])
    (tmp_path / "merged").mkdir()
    target = tmp_path / "merged" / ("x.safetensors" if layout == "comfyui" else "x")
    converted(folder, target, "--to", layout, f"--merge={adapter}:0.5")
    if layout == "comfyui":
        beside(target, folder)
    assert torch.equal(latent_of(target)[1], expected)
    assert (latent_of(folder)[1] - expected).abs().max() > 0.1


def test_a_merged_checkpoint_of_ours_says_what_is_in_it(tiny_checkpoint, converted, tmp_path):
    network = lumina_core.load(tiny_checkpoint).checkpoint.backbone
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    changes = random_changes(network, ["blocks.0.attention.wq"])
    write_peft(adapter, changes, torch.float32)
    assert str(tmp_path / "x") in converted(tiny_checkpoint, tmp_path / "x", "--merge", adapter)
    found = weights_in(tmp_path / "x")
    wanted = weights_in(tiny_checkpoint)
    name = "blocks.0.attention.wq.weight"
    wanted[name] = merged_weight(wanted[name], [(1.0, changes[name.removesuffix(".weight")])])
    assert_equal(found, wanted)
    (told,) = read_manifest(tmp_path / "x")["adapters"]
    assert (told["name"], told["strength"]) == ("adapter", 1.0)
    assert (tiny_checkpoint / "state").is_dir() and not (tmp_path / "x" / "state").exists()
    given_up = shutil.copytree(tiny_checkpoint, tmp_path / "given up")
    shutil.rmtree(given_up / "state")  # as of an older checkpoint of a run
    converted(given_up, tmp_path / "y", "--merge", adapter)
    assert_equal(weights_in(tmp_path / "y"), found)
    settings = {"solver.num_steps": 1, "height": 16, "width": 16, "seed": 1}
    made = [
        lumina_core.load(source, **more, **settings).generate("a red star")[0].media_sha256
        for source, more in ((tmp_path / "x", {}), (tiny_checkpoint, {"adapters": [str(adapter)]}))
    ]
    assert made[0] == made[1]
