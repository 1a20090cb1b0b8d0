"""The encoder that `create_tiny` writes, against transformers with the same files."""

import json
import shutil
from dataclasses import asdict

import pytest
import torch
from safetensors.torch import load_file, save_file

from lumina_core.text.encoder import TextEncoder, load_text_encoder
from lumina_core.text.frozen import FrozenTextEncoder
from lumina_core.text.settings import Reading, TextEncoderConfig
from lumina_core.text.tiny import create_tiny
from lumina_core.text.tiny_reader import TinyModel, open_tiny

CAPTIONS = ["a red circle and a blue square", "three yellow crosses on a navy background"]
READING = Reading(12)
SHAPE = {"hidden_size": 32, "depth": 2, "num_heads": 2}
CONFIG = TextEncoderConfig(path=None, **asdict(READING), cache=None, trainable=True, **SHAPE)
TEXTS = ["", "circle", "A RED circle, a ring!", "[BOS] müller [PAD]", "a red circle " * 9, "\n\t "]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    create_tiny(folder, CAPTIONS, CONFIG, seed=0)
    return folder


@pytest.fixture
def folder(tiny, tmp_path):
    shutil.copytree(tiny, tmp_path / "tiny")
    return tmp_path / "tiny"


@pytest.mark.parametrize(
    "reading", [READING, Reading(12, add_eos=True), Reading(1), Reading(2, add_eos=True)]
)
@torch.no_grad()
def test_tokens_and_features_are_those_of_transformers_to_the_bit(tiny, reading):
    opened, theirs = open_tiny(tiny, reading), load_text_encoder(tiny, reading)
    ours = TextEncoder(opened.read(), opened.tokenizer, reading)
    assert opened.text_dim == theirs.text_dim
    for text in TEXTS:
        assert ours.token_ids(text) == theirs.token_ids(text)
        assert ours.unknown_words(text) == theirs.unknown_words(text)
        assert ours.num_cut_tokens(text) == theirs.num_cut_tokens(text)
        assert torch.equal(ours([text])[0], theirs([text])[0])


def test_a_frozen_encoder_is_read_so(tiny):
    encoder = FrozenTextEncoder(tiny, READING, torch.device("cpu"))
    encoder(["a red circle"])
    assert isinstance(encoder._encoder.model, TinyModel)


def test_what_stands_in_bfloat16_is_read_as_transformers_reads_it(folder):
    path = folder / "model.safetensors"
    save_file({name: x.bfloat16() for name, x in load_file(path).items()}, path, {"format": "pt"})
    opened, theirs = open_tiny(folder, READING), load_text_encoder(folder, READING)
    ours = TextEncoder(opened.read(), opened.tokenizer, READING)
    assert torch.equal(ours([TEXTS[1]])[0], theirs([TEXTS[1]])[0])


@pytest.mark.parametrize(
    "reading",
    [Reading(12, hidden_state=-2), Reading(12, padded=True), Reading(12, dtype="bfloat16"),
     Reading(12, adds_embedding=True), Reading(513)],
)  # fmt: skip
def test_other_readings_are_left_to_transformers(tiny, reading):
    assert open_tiny(tiny, reading) is None


@pytest.mark.parametrize(
    "file, key, value",
    [("config.json", "hidden_act", "gelu"), ("config.json", "rms_norm_eps", 1e-5),
     ("config.json", "rope_scaling", {}), ("config.json", "num_key_value_heads", 1),
     ("config.json", "rope_parameters", {"rope_type": "linear", "rope_theta": 10.0}),
     ("config.json", "num_hidden_layers", 10**9), ("config.json", "vocab_size", 3),
     ("config.json", "hidden_size", "32"), ("config.json", "head_dim", None),
     ("tokenizer_config.json", "unk_token", None),
     ("tokenizer_config.json", "tokenizer_class", "BertTokenizer"),
     ("tokenizer_config.json", "added_tokens_decoder", {}),
     ("tokenizer.json", "normalizer", {"type": "Replace", "pattern": {"String": "a"},
                                       "content": "b" * 5000}),
     ("tokenizer.json", "model", {"type": "BPE", "vocab": {}, "merges": []})],
)  # fmt: skip
def test_others_are_left_to_transformers(folder, file, key, value):
    assert open_tiny(folder, READING) is not None
    values = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps(values | {key: value}))
    assert open_tiny(folder, READING) is None


@pytest.mark.parametrize("damage", ["missing", "more", "cut", "gone", "beside"])
def test_what_is_not_whole_is_left_to_transformers(folder, damage):
    path = folder / "model.safetensors"
    stored = load_file(path)
    if damage == "missing":
        stored.pop("norm.weight")
    elif damage == "more":
        stored["more"] = torch.zeros(1)
    save_file(stored, path)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-1])
    elif damage == "gone":
        path.unlink()
    elif damage == "beside":
        (folder / "added_tokens.json").write_text("{}")
    assert open_tiny(folder, READING) is None
