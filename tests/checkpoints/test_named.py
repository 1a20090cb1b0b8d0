"""Models with a name: what their descriptions say, what is refused of them, and where they are."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hub_server import COMMIT, serving
from huggingface_hub import constants

from lumina_core import LuminaError
from lumina_core.checkpoints.named import (
    NamedModel,
    known_model,
    lack_of_package,
    named_model,
    read_model,
    use_words,
)
from lumina_core.checkpoints.obtaining import located, obtain, obtain_part, wants
from lumina_core.plugins.yaml_files import label_file, model_files, read_yaml
from lumina_core.records import as_text
from lumina_core.sampling.model_file import check_model_file

ROOT = Path(__file__).parents[2]
SHIPPED = [
    *("lumina_image_2", "lumina_next", "lumina_t2i", "neta_lumina", "next_dit_imagenet"),
    *("z_image", "z_image_turbo"),
]
MODEL = """
meaning: toys of all kinds
prompt: a red toy
modality: toy
family: z_image
layout: diffusers
hub_id: owner/toys
licence: {name: MIT, note: no commercial use}
backbone: {folder: transformer, num_parameters: 3, num_bytes: 2_000_000_000}
text_encoder:
  folder: text_encoder
  tokenizer: tokenizer
  num_parameters: 5
  num_bytes: 1_000_000_000
  hidden_state: -2
vae: {hub_id: owner/vae, files: [config.json, v.safetensors], num_parameters: 7, num_bytes: 10}
options: {patch_size: 2}
trained:
  - {height: 64}
  - {height: 96, ratio: 2}
sampling:
  solver: {num_steps: 8, shift: 3.0}
"""
WEIGHTS = os.urandom(2000)
TOYS = {
    "model_index.json": b"{}",
    "scheduler/scheduler_config.json": b"{}",
    "text_encoder/config.json": b"{}",
    "text_encoder/model-00001-of-00002.safetensors": WEIGHTS,
    "text_encoder/model-00002-of-00002.safetensors": WEIGHTS + b"2",
    "tokenizer/tokenizer.json": b"[1]",
    "transformer/config.json": b"[2]",
    "transformer/model.safetensors": WEIGHTS + b"3",
    "transformer/model.bin": b"a pickle",
    "README.md": b"toys",
}
VAE = {"config.json": b"[3]", "v.safetensors": WEIGHTS + b"4", "other.safetensors": WEIGHTS}


@pytest.fixture
def shop(write_extension, tmp_path):
    """An installed package with one YAML: the description of a model."""
    write_extension("shop", files={"conf/model/big_toy.yaml": MODEL})
    return tmp_path


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub with the files of the model, and an empty cache."""
    with serving() as found:
        found.files |= {"owner/toys": TOYS, "owner/vae": VAE}
        template = found.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "ENDPOINT", found.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.delenv("HF_TOKEN", raising=False)
        yield found


def described(tmp_path, text=MODEL):
    path = tmp_path / "a.yaml"
    path.write_text(text)
    return read_model(path)


def test_the_image_plugin_ships_the_released_models():
    assert [name for name in model_files() if name in SHIPPED] == SHIPPED
    for name in SHIPPED:
        model = known_model(name)
        assert (model.modality, model.vae.num_parameters) in (
            ("image", 83_819_683), ("image", 83_653_863)
        )  # fmt: skip
        assert "\n" not in model.meaning + model.prompt + model.licence.name
        check_model_file(model_files()[name])


@pytest.mark.parametrize(
    ("name", "num_parameters", "memory", "text", "steps"),
    [
        ("lumina_image_2", 2_609_769_152, 5_219_538_304, 5_228_683_776, 50),
        ("lumina_next", 1_627_384_096, 3_254_768_192, 5_012_344_832, 30),
        ("z_image", 6_154_908_736, 12_309_817_472, 8_044_936_192, 50),
        ("z_image_turbo", 6_154_908_736, 12_309_817_472, 8_044_936_192, 8),
    ],
)
def test_released_models_have_their_published_sizes(name, num_parameters, memory, text, steps):
    model = known_model(name)
    assert model.backbone.num_parameters == num_parameters
    assert (model.memory_bytes, model.text_memory_bytes) == (memory, text)
    assert model.sampling["solver"]["num_steps"] == steps


@pytest.mark.parametrize(
    ("name", "encoder"),
    [
        ("lumina_image_2", "gemma2_2b"), ("z_image", "qwen3_4b"), ("z_image_turbo", "qwen3_4b"),
        ("lumina_next", "gemma_2b"), ("lumina_t2i", "llama2_7b"),
    ],
)  # fmt: skip
def test_prompts_are_read_as_by_the_text_encoder_of_its_name(name, encoder):
    values = read_yaml(ROOT / "conf" / "text_encoder" / f"{encoder}.yaml")
    tower = known_model(name).text_encoder
    keys = values.keys() - {"path", "trainable"}
    assert {key: getattr(tower, key) for key in keys} == {key: values[key] for key in keys}


PACKAGED = MODEL.replace("family: z_image", "family: ToyTransformer\npackage: lumina-toys")


def test_the_network_of_a_package_is_part_of_a_description(tmp_path):
    beside = "beside: [{folder: transformer_2, num_parameters: 3, num_bytes: 30}]\n"
    model = described(tmp_path, PACKAGED + beside)
    assert list(model.parts) == ["backbone", "text_encoder", "transformer_2", "vae"]
    assert (model.num_bytes, model.memory_bytes) == (3_000_000_040, 12)
    assert model.num_parameters == 6
    assert lack_of_package("big_toy", model) == (
        "big_toy needs a network that the package lumina-toys has. Install it: python -m pip "
        "install ./plugins/lumina-toys (in a checkout of the project)"
    )
    assert lack_of_package("big_toy", described(tmp_path)) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (PACKAGED.replace("lumina-toys", "'a; rm'"), "package is 'a; rm'; write the name of a"),
        (PACKAGED.replace("layout: diffusers", "layout: comfyui"), "in layout=diffusers alone"),
        (PACKAGED + "beside: [{num_parameters: 3, num_bytes: 3}]", "beside names folders of the"),
        (PACKAGED + "labels: toys", "labels are for models of classes"),
    ],
)
def test_a_wrong_package_is_refused(tmp_path, text, said):
    with pytest.raises(LuminaError) as raised:
        described(tmp_path, text)
    assert said in str(raised.value)


def test_a_description_is_read_into_a_record(tmp_path):
    model = described(tmp_path)
    assert isinstance(model, NamedModel)
    assert (model.num_bytes, model.memory_bytes, model.text_memory_bytes) == (3_000_000_010, 6, 10)
    assert model.trained == ({"height": 64}, {"height": 96, "ratio": 2})
    assert (model.text_encoder.hidden_state, model.text_encoder.max_tokens) == (-2, 32)
    assert list(model.parts) == ["backbone", "text_encoder", "vae"]


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("family: z_image\n", "", "family is missing: of networks"),
        ("{folder: transformer, num_parameters: 3,", "{", "backbone.num_parameters is missing"),
        ("  num_bytes: 1_000_000_000\n", "", "text_encoder.num_bytes is missing"),
        ("name: MIT, ", "", "licence.name is missing: as its authors call it"),
        ("meaning:", "meening:", "meaning is missing"),
        ("prompt:", "steps: 3\nprompt:", "unknown key 'steps'"),
        ("hidden_state", "hidden_sate", "Did you mean 'text_encoder.hidden_state'"),
        ("layout: diffusers", "layout: difusers", "Did you mean 'diffusers'"),
        ("owner/toys", "https://a.b/c/d", "write an id of the hub, such as owner/name"),
        ("owner/toys", "../toys/a", "write an id of the hub"),
        ("hub_id: owner/toys", "hub_id: owner/toys\nrevision: 'a b'", "a commit, a branch or a"),
        ("folder: text_encoder", "folder: ../a", "folder is '../a'; write a path inside"),
        ("[config.json, v.safetensors]", "[a.bin]", "files names 'a.bin'; allowed are"),
        (
            "[config.json, v.safetensors]",
            "[a.pth]",
            "vae.files names 'a.pth', a pickle; the backbone of",
        ),
        ("{folder: transformer,", "{files: [a.pth],", "layout=released alone"),
        ("{folder: transformer,", "{files: ['*.pth'],", "write out the name of a pickle"),
        ("options: {patch_size: 2}", "options: [2]", "options must be a block of keys"),
        ("  - {height: 64}\n", "  - 64\n", r"trained\[0\] must be a block of keys, got 64 \(int\)"),
        ("trained:\n  - {height: 64}\n  - {height: 96, ratio: 2}", "trained: []", "is empty"),
        ("num_parameters: 3,", "num_parameters: many,", "backbone.num_parameters must be a whole"),
        ("num_parameters: 3,", "num_parameters: 0,", "num_parameters is 0; set a whole number"),
        ("hidden_state: -2", "hidden_state: -2\n  dtype: int3", "dtype is 'int3'; choose one of"),
        ("hub_id: owner/vae, ", "revision: v1, ", "revision belongs to hub_id"),
        ("prompt: a red toy", 'prompt: "a \\e[2J toy"\nfoo: 1', "unknown key 'foo'"),
    ],
)
def test_a_wrong_description_is_one_line(tmp_path, old, new, reason):
    assert MODEL.count(old) >= 1
    with pytest.raises(LuminaError, match=reason) as error:
        described(tmp_path, MODEL.replace(old, new, 1))
    assert str(error.value).startswith(f"{tmp_path / 'a.yaml'}: ")
    assert str(error.value).isprintable()


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (
            "{patch_size: 2}",
            "{patch: 2}",
            "unknown key 'options.patch'. Did you mean 'options.patc",
        ),
        ("{patch_size: 2}", "{patch_size: two}", "patch_size must be a whole number"),
        ("{patch_size: 2}", "{height: 2}", "unknown key 'options.height'"),
        ("- {height: 64}", "- {patch_size: 2}", r"unknown key 'trained\[0\].patch_size'"),
        ("- {height: 64}", "- {height: 0}", r"trained\[0\]: height must be at least 1"),
        ("  solver:", "  device: cuda\n  solver:", "unknown key 'device'"),
        ("num_steps: 8", "num_steps: 0", "solver.num_steps"),
    ],
)
def test_what_the_modality_does_not_take_is_found(tmp_path, toy, old, new, reason):
    path = tmp_path / "a.yaml"
    path.write_text(MODEL)
    check_model_file(path)
    path.write_text(MODEL.replace(old, new, 1))
    with pytest.raises(LuminaError, match=reason) as error:
        check_model_file(path)
    assert str(error.value).startswith(f"{path}: ")


def test_of_a_modality_that_is_not_there_the_options_are_not_looked_at(tmp_path, toy):
    path = tmp_path / "a.yaml"
    path.write_text(MODEL.replace("modality: toy", "modality: gone").replace("height", "depth"))
    check_model_file(path)


def test_a_package_with_one_file_adds_a_model(shop):
    assert named_model("big_toy").hub_id == "owner/toys"
    assert named_model("small_toy") is None
    with pytest.raises(LuminaError, match=r"known: big_toy\. Did you mean 'big_toy'"):
        known_model("big_toys")


def test_a_model_of_the_modality_itself_comes_first(write_distribution, write_extension):
    folder = write_distribution("lumina-toy", "toy")
    (folder / "conf/model").mkdir()
    (folder / "conf/model/big_toy.yaml").write_text(MODEL)
    write_extension("aaa", files={"conf/model/big_toy.yaml": "", "conf/model/Bad-1.yaml": ""})
    assert model_files() == {"big_toy": folder / "conf/model/big_toy.yaml"}


def test_without_download_a_model_is_told_with_size_licence_and_command(shop, hub):
    with pytest.raises(LuminaError) as error:
        obtain("big_toy", known_model("big_toy"), download=False)
    text = str(error.value)
    assert "3.0 GB from owner/toys under MIT (no commercial use)" in text
    assert "infer checkpoint=big_toy download=true 'a red toy'" in text
    assert not hub.asked


@pytest.mark.parametrize("download", [True, False])
def test_a_model_to_be_converted_is_not_fetched(tmp_path, hub, download):
    model = replace(described(tmp_path), convert="use convert_toys.py")
    with pytest.raises(LuminaError) as error:
        obtain("big_toy", model, download=download)
    text = str(error.value)
    assert "holds big_toy in files that are not read as they are: use convert_toys.py; then" in text
    assert text.endswith("infer checkpoint=FOLDER 'a red toy'")
    assert not hub.asked


def test_a_model_is_fetched_with_the_parts_that_it_names(tmp_path, hub):
    model = described(tmp_path)
    found = obtain("big_toy", model, download=True)
    assert found == located(model)
    assert found.pipeline.name == COMMIT
    assert found.backbone == found.pipeline / "transformer"
    assert (found.text_encoder.name, found.tokenizer.name) == ("text_encoder", "tokenizer")
    files = {path.name for path in found.vae.iterdir()}
    assert files == {"config.json", "v.safetensors"}
    assert {
        path.relative_to(found.pipeline).as_posix() for path in found.pipeline.rglob("*.*")
    } == (set(TOYS) - {"transformer/model.bin", "README.md"})
    hub.asked.clear()
    assert obtain("big_toy", model, download=True) == found
    assert not hub.asked


def test_a_part_that_is_not_there_makes_it_incomplete(tmp_path, hub):
    model = described(tmp_path)
    assert located(model) is None
    found = obtain("big_toy", model, download=True)
    for path in (
        found.text_encoder / "model-00002-of-00002.safetensors",
        found.backbone / "model.safetensors",
        found.vae / "config.json",
    ):
        path.unlink()
        assert located(model) is None
        obtain("big_toy", model, download=True)
        assert located(model) == found


def test_one_part_of_a_model_is_fetched_alone(tmp_path, hub):
    text = MODEL.replace("folder: text_encoder\n  tokenizer: tokenizer", "hub_id: owner/tower")
    model = described(tmp_path, text.replace("{folder: transformer,", "{"))
    hub.files["owner/tower"] = {"model.safetensors": WEIGHTS, "tokenizer.json": b"[4]"}
    with pytest.raises(LuminaError, match="FOLDER, or download=true to fetch it from"):
        obtain_part("big_toy", model, "text_encoder", download=False)
    folder = obtain_part("big_toy", model, "text_encoder", download=True)
    assert {path.name for path in folder.iterdir()} == {"model.safetensors", "tokenizer.json"}
    assert {path.split("/resolve/")[0] for path in hub.fetched()} == {"/owner/tower"}
    (folder / "model.safetensors").unlink()
    with pytest.raises(LuminaError, match="that of big_toy is not on this disk"):
        obtain_part("big_toy", model, "text_encoder", download=False)


def test_a_model_that_is_not_whole_is_not_there_at_all(tmp_path, hub):
    hub.lies["text_encoder/model-00002-of-00002.safetensors"] = WEIGHTS
    model = described(tmp_path)
    with pytest.raises(LuminaError, match="came damaged, 2000 bytes of 2001"):
        obtain("big_toy", model, download=True)
    assert not list((tmp_path / "hub").rglob("snapshots/*/*"))
    assert located(model) is None


def test_a_pickle_is_fetched_by_its_name_alone(tmp_path, hub):
    text = MODEL.replace("layout: diffusers", "layout: released").replace(
        "{folder: transformer,", "{files: [consolidated.pth],"
    )
    model = described(tmp_path, text)
    hub.files["owner/toys"] = TOYS | {"consolidated.pth": WEIGHTS, "other.pth": WEIGHTS}
    found = obtain("big_toy", model, download=True)
    assert {path.name for path in found.backbone.glob("*.*")} == {"consolidated.pth"}


def test_a_repository_without_the_file_says_what_it_has(tmp_path, hub):
    model = described(tmp_path, MODEL.replace("v.safetensors", "w.safetensors"))
    with pytest.raises(LuminaError, match=r"owner/vae has no file w\.safetensors.*v\.safetensors"):
        obtain("big_toy", model, download=True)


def of_classes(labels=""):
    begin, _, rest = MODEL.partition("text_encoder:")
    return f"{begin}{labels}vae:" + rest.partition("vae:")[2]


def test_a_model_of_classes_needs_no_text_encoder(tmp_path):
    model = described(tmp_path, of_classes())
    assert model.text_memory_bytes == 0
    assert len(wants(model)) == 4
    assert use_words("classes", model) == [
        *("infer", "checkpoint=classes", "download=true", "condition.label=a red toy")
    ]


def test_names_of_classes_are_a_file_of_a_package(tmp_path, toy):
    path = tmp_path / "a.yaml"
    path.write_text(of_classes("labels: toys\n"))
    with pytest.raises(LuminaError, match=r"no package has conf/labels/toys\.txt"):
        check_model_file(path)
    (toy / "conf/labels").mkdir()
    (toy / "conf/labels/toys.txt").write_text("a car, an automobile\n")
    check_model_file(path)
    assert label_file("toys") == toy / "conf/labels/toys.txt"
    for labels, reason in {"../a": "the name of a set", "toys": "leave out text_enc"}.items():
        with pytest.raises(LuminaError, match=reason):
            described(tmp_path, f"{MODEL}labels: {labels}\n")


def test_descriptions_say_nothing_twice():
    for path in model_files().values():
        values = read_yaml(path)
        assert values.get("revision") is None or len(values["revision"]) == len(COMMIT)
        assert as_text(values["prompt"]) == values["prompt"]
