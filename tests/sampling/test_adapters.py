"""`adapters=` of a request: loaded, told in the file, given again with it."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import lumina_core
from lumina_core import LuminaError
from lumina_core.cli.main import main
from lumina_core.files.hashes import sha256_of
from lumina_core.sampling import file_request, generate
from lumina_core.sampling.adapters import given_again, named_adapters
from lumina_core.sampling.compose import compose_run

SMALL = {"height": 32, "width": 32, "num_steps": 2, "device": "cpu"}
AWKWARD = "a (b), ü = 1.safetensors"


@pytest.fixture
def write_adapter(tiny_checkpoint, tmp_path):
    """Write an adapter on every layer of the tiny checkpoint, with names of our own."""
    backbone = lumina_core.load(tiny_checkpoint, **SMALL).checkpoint.backbone
    layers = {n: m for n, m in backbone.named_modules() if isinstance(m, nn.Linear)}

    def write(name, seed=0):
        generator = torch.Generator().manual_seed(seed)
        tensors = {}
        for layer, linear in layers.items():
            rows, columns = linear.weight.shape
            tensors[f"{layer}.lora_A.weight"] = torch.randn(2, columns, generator=generator)
            tensors[f"{layer}.lora_B.weight"] = torch.randn(rows, 2, generator=generator) / 10
        save_file(tensors, tmp_path / name)
        return tmp_path / name

    return write


@pytest.mark.parametrize(
    ("text", "path", "strength"),
    [
        ("a.safetensors", "a.safetensors", None),
        ("a.safetensors:0.8", "a.safetensors", 0.8),
        ("b:c.safetensors", "b:c.safetensors", None),
        ("b:c.safetensors:-1e-1", "b:c.safetensors", -0.1),
        ("~/a:2", str(Path.home() / "a"), 2.0),
        (":0.5", ":0.5", None),
    ],
)
def test_a_strength_is_the_number_behind_the_last_colon(text, path, strength):
    assert named_adapters([text]) == [(Path(path), strength)]


@pytest.mark.parametrize("text", ["a:nan", "a:inf", "a:-1e999", " "])
def test_strengths_that_are_not_finite_and_empty_names_are_refused(text):
    with pytest.raises(LuminaError, match=r"write a finite number|write FILE"):
        named_adapters([text])


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("a/b.safetensors:0.8", ["a/b.safetensors:0.8"]),
        ("[a.safetensors:0.8, ~/b (1).safetensors]", ["a.safetensors:0.8", "~/b (1).safetensors"]),
        ('["a, [b].safetensors:1"]', ["a, [b].safetensors:1"]),
        ("[]", []),
        ("null", None),
    ],
)
def test_files_of_a_list_are_taken_letter_by_letter(tmp_path, written, read):
    words = ["modality=image", "prompt=a star"]
    config = compose_run([*words, f"adapters={written}"])
    assert config.adapters == (read if read is None else tuple(read))
    path = tmp_path / "settings.yaml"
    path.write_text(f"adapters: {json.dumps(read)}\n")
    assert compose_run([*words, f"config={path}"]).adapters == config.adapters


def test_adapters_change_what_is_made_merged_and_apart_alike(tiny_checkpoint, write_adapter):
    files = [write_adapter("one.safetensors"), write_adapter(AWKWARD, seed=1)]
    adapters = [f"{files[0]}:0.5", files[1]]
    plain = lumina_core.load(tiny_checkpoint, **SMALL)
    merged = lumina_core.load(tiny_checkpoint, adapters=adapters, **SMALL)
    apart = merged.with_settings(merge_adapters=False)
    flows = [model.velocity("a star") for model in (plain, merged, apart)]
    found = [flow(0.3, flow.x_0) for flow in flows]
    assert (found[0] - found[1]).abs().max() > 0.1
    assert (found[2] - found[1]).abs().max() < 1e-5
    items = [model.generate("a star")[0] for model in (plain, merged, apart)]
    assert items[0].media_sha256 != items[1].media_sha256
    assert (items[1].media.int() - items[2].media.int()).abs().max() <= 1
    assert "adapters" not in items[0].request
    told = [
        {"name": file.name, "strength": strength, "sha256": sha256_of(file)}
        for file, strength in zip(files, (0.5, 1.0), strict=True)
    ]
    assert items[1].request["adapters"] == items[2].request["adapters"] == told


def test_the_kept_model_is_that_of_its_adapters(tiny_checkpoint, write_adapter):
    file = write_adapter("one.safetensors")

    def made(**more):
        (item,) = lumina_core.generate(
            "a star", modality="image", checkpoint=tiny_checkpoint, **SMALL, **more
        )
        return item.media_sha256, next(iter(generate._KEPT.values()))

    plain, changed, weaker = made(), made(adapters=file), made(adapters=f"{file}:0.5")
    assert len({plain[0], changed[0], weaker[0]}) == 3
    again = made(adapters=[f"{file}:0.5"])
    assert again[0] == weaker[0] and again[1] is weaker[1]
    write_adapter("one.safetensors", seed=2)
    assert made(adapters=f"{file}:0.5")[0] not in (weaker[0], changed[0])


def test_a_model_in_memory_is_not_that_of_other_adapters(tiny_checkpoint, write_adapter):
    file = write_adapter("one.safetensors")
    model = lumina_core.load(tiny_checkpoint, adapters=[file], **SMALL)
    (own,) = model.generate("a star")
    (none,) = model.generate("a star", adapters=[])
    (plain,) = lumina_core.load(tiny_checkpoint, **SMALL).generate("a star")
    assert none.media_sha256 == plain.media_sha256 != own.media_sha256


def test_relative_files_are_found_from_any_folder(
    tiny_checkpoint, write_adapter, tmp_path, monkeypatch
):
    write_adapter("one.safetensors")
    monkeypatch.chdir(tmp_path)
    model = lumina_core.load(tiny_checkpoint, adapters=["one.safetensors:0.5"], **SMALL)
    (tmp_path / "inside").mkdir()
    monkeypatch.chdir(tmp_path / "inside")
    (first,) = model.generate("a star")
    (second,) = model.with_settings(dtype="bfloat16").generate("a star")
    assert first.request["adapters"] == second.request["adapters"]


def test_repeat_takes_the_same_adapters_and_no_others(
    make, work, clean_refusal, tiny_checkpoint, write_adapter, capsys
):
    one, two = write_adapter("one.safetensors"), write_adapter("two.safetensors", seed=1)
    (file,) = make("a star", f"adapters=[{one}:0.5,{two}]", "out=a.png")["files"]
    again = ("run", "repeat=a.png", f"checkpoint={tiny_checkpoint}")

    def repeated(*words):
        capsys.readouterr()
        assert main([*again, *words, "json=true"]) == 0
        return json.loads(capsys.readouterr().out)["files"][0]

    assert repeated(f"adapters=[{one},{two}]")["sha256"] == file["sha256"]
    assert repeated(f"adapters=[{one}:0.5,{two}:1]", "merge_adapters=false")["path"] != "a.png"
    changed = repeated(f"adapters=[{one},{two}:0.5]")
    strengths = [
        each["strength"] for each in file_request.read_request(Path(changed["path"]))["adapters"]
    ]
    assert strengths == [0.5, 0.5] and changed["media_sha256"] != file["media_sha256"]
    for words, reason in (
        ((), "give them again: adapters=[one.safetensors:0.5,two.safetensors:1]"),
        ((f"adapters={one}",), "are not those that the repeated file was made with"),
        ((f"adapters=[{two},{one}]",), "the same files in the same order"),
        ((f"adapters=[{one},none.safetensors]",), "there is no adapter"),
    ):
        assert reason in clean_refusal(*again, *words)
    write_adapter("two.safetensors", seed=2)
    assert "are not those" in clean_refusal(*again, f"adapters=[{one},{two}]")


def test_a_sweep_takes_a_strength_from_each_of_its_values(ask, write_adapter, work, capsys):
    one = write_adapter("one.safetensors")
    words = ask("a star", f"adapters={one}:0.2,[{one}:1],null", "-m")
    assert main(words) == 0
    files = capsys.readouterr().out.splitlines()
    told = [file_request.read_request(Path(file)).get("adapters", []) for file in files]
    assert [[each["strength"] for each in adapters] for adapters in told] == [[0.2], [1.0], []]


def test_a_file_made_without_adapters_says_so_when_it_is_repeated_with_some(
    make, work, tiny_checkpoint, write_adapter, capsys
):
    make("a star", "out=a.png")
    capsys.readouterr()
    one = write_adapter("one.safetensors")
    words = ["run", "repeat=a.png", f"checkpoint={tiny_checkpoint}", f"adapters={one}"]
    assert main(words) == 0
    assert "a.png was made without adapters" in capsys.readouterr().err


@pytest.mark.parametrize(
    "adapters",
    [
        *("x", {}, [1], [{}], [{"name": "a", "strength": 1, "sha256": "0"}]),
        *([{"name": "a", "strength": 1.0, "sha256": 0}], [{"name": "a", "strength": 1.0}]),
    ],
)
def test_a_request_with_broken_adapters_is_refused(adapters):
    with pytest.raises(LuminaError, match="carries a broken request"):
        file_request.check_request(Path("a.png"), {"modality": "image", "adapters": adapters})


def test_foreign_names_are_not_obeyed_by_a_terminal():
    told = [{"name": "a\x1b[31m\nb", "strength": 1.0, "sha256": "0"}]
    with pytest.raises(LuminaError) as refusal:
        given_again([], told)
    assert str(refusal.value).isprintable()


def test_wrong_adapters_are_refused_before_anything_is_made(
    ask, clean_refusal, work, tiny_checkpoint
):
    words = ask("a star")
    assert "there is no adapter" in clean_refusal(*words, "adapters=nowhere.safetensors")
    assert "write a finite number" in clean_refusal(*words, "adapters=x.safetensors:nan")
    assert "merge_adapters=false has no effect" in clean_refusal(*words, "merge_adapters=false")
    both = ("adapters=x.safetensors", "merge_adapters=false", "offload=blocks")
    assert "do not go together" in clean_refusal(*words, *both)
    assert "adapters is empty" in clean_refusal(*words, "adapters=")
