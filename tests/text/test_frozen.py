import json
import shutil
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from states import state_in
from torch import nn

from lumina_core import LuminaError
from lumina_core.backbone.transformer import Backbone
from lumina_core.checkpoints import folder as checkpoint
from lumina_core.cli.main import main
from lumina_core.text import frozen
from lumina_core.text.encoder import TextEncoder, load_text_encoder
from lumina_core.text.frozen import FrozenTextEncoder, read_features
from lumina_core.text.settings import Negative, Reading
from lumina_core.training.compose import compose_train

TEXTS = ["a red circle and a blue square", "", "Müller's ☃ star", "a red circle " * 40]
NAMES = ["llama2_7b", "gemma_2b", "t5"]
CPU = torch.device("cpu")
OTHER = "a white ring"


def readings(name):
    return compose_train(["+modality=image", f"text_encoder={name}"]).text_encoder.reading


def model_of(name, folder):
    """The released half that gives features, as transformers itself reads it."""
    from transformers import AutoModel, T5EncoderModel

    reader = T5EncoderModel if name == "t5" else AutoModel
    return reader.from_pretrained(folder, dtype=torch.float32).eval()


def no_weights(*_):
    raise AssertionError("the weights were read")


@pytest.fixture
def num_forward_calls(monkeypatch):
    """How often an encoder ran."""
    calls = []
    whole = TextEncoder.forward
    monkeypatch.setattr(
        TextEncoder, "forward", lambda self, texts: calls.append(texts) or whole(self, texts)
    )
    return lambda: len(calls)


@pytest.fixture(params=NAMES)
def named(request, encoder_folders):
    return request.param, encoder_folders[request.param]


def test_settings_are_those_of_the_released_models():
    assert readings("llama2_7b") == Reading(128, -1, True, False, dtype="bfloat16")
    assert readings("gemma_2b") == Reading(256, -2, False, False, dtype="bfloat16")
    assert readings("t5") == Reading(77, -1, False, True, dtype="float32")
    for name, path in zip(
        NAMES, ["meta-llama/Llama-2-7b-hf", "google/gemma-2b", "google/flan-t5-large"], strict=True
    ):
        config = compose_train(["+modality=image", f"text_encoder={name}"])
        assert (config.text_encoder.path, config.text_encoder.trainable) == (path, False)
        assert config.download is False


def test_folders_are_in_the_released_formats(encoder_folders):
    for folder in encoder_folders.values():
        assert (folder / "model.safetensors.index.json").is_file()
        assert len(list(folder.glob("model-*.safetensors"))) > 1
    found = [bool(list(encoder_folders[name].glob("*.model"))) for name in NAMES]
    assert found == [True, False, True]


@torch.no_grad()
def test_hidden_state_is_the_output_of_that_layer(named):
    name, folder = named
    model = model_of(name, folder)
    last = load_text_encoder(folder, Reading(64))
    ids = torch.tensor([last.token_ids(TEXTS[0])])
    torch.testing.assert_close(last([TEXTS[0]])[0], model(input_ids=ids).last_hidden_state[0])
    if name == "t5":
        model.encoder.block = model.encoder.block[:-1]
        model.encoder.final_layer_norm = nn.Identity()
    else:
        model.layers = model.layers[:-1]
        model.config.num_hidden_layers -= 1
        model.norm = nn.Identity()
    before = load_text_encoder(folder, Reading(64, hidden_state=-2))
    torch.testing.assert_close(before([TEXTS[0]])[0], model(input_ids=ids).last_hidden_state[0])
    assert not torch.allclose(before([TEXTS[0]])[0], last([TEXTS[0]])[0])
    with pytest.raises(LuminaError, match=r"beyond the 2 layers .* use -1 to -3"):
        load_text_encoder(folder, Reading(64, hidden_state=-4))


@torch.no_grad()
def test_an_embedding_stands_before_the_features(named):
    name, folder = named
    plain = load_text_encoder(folder, Reading(64))
    both = load_text_encoder(folder, Reading(64, adds_embedding=True))
    assert both.text_dim == 2 * plain.text_dim
    first, last = both([TEXTS[0]])[0].chunk(2, dim=1)
    assert torch.equal(last, plain([TEXTS[0]])[0])
    embedding = model_of(name, folder).get_input_embeddings()
    assert torch.equal(first, embedding(torch.tensor(plain.token_ids(TEXTS[0]))))
    frozen_one = FrozenTextEncoder(folder, both.reading, CPU)
    assert frozen_one.text_dim == both.text_dim
    assert torch.equal(frozen_one([TEXTS[0]])[0], torch.cat([first, last], dim=1))


def test_an_empty_negative_prompt_may_be_zeros_of_the_length_of_its_prompt(encoder_folders):
    encoder = FrozenTextEncoder(encoder_folders["t5"], Reading(64, empty_is_zero=True), CPU)
    asked = [TEXTS[0], Negative("", TEXTS[0]), Negative(OTHER, TEXTS[0]), "", OTHER]
    features, lengths = encoder(asked)
    prompt, empty, other, nothing, same = features.split(lengths)
    assert len(empty) == len(prompt) > 1 and not empty.any()
    assert torch.equal(other, same) and nothing.any()
    read_as_ever = FrozenTextEncoder(encoder_folders["t5"], Reading(64), CPU)
    assert torch.equal(read_as_ever([Negative("", TEXTS[0])])[0], nothing)


def test_marks_are_those_of_the_released_models(encoder_folders):
    import sentencepiece

    for name, path in (("llama2_7b", "tokenizer.model"), ("t5", "spiece.model")):
        folder = encoder_folders[name]
        vocabulary = sentencepiece.SentencePieceProcessor(model_file=str(folder / path))
        encoder = FrozenTextEncoder(folder, readings(name), CPU)
        for text in TEXTS[:2]:
            ids = vocabulary.encode(text)
            wanted = [1, *ids, 2] if name == "llama2_7b" else [*ids, 1]
            wanted += [0] * (77 - len(wanted)) if name == "t5" else []
            assert encoder.token_ids(text) == wanted
    gemma = FrozenTextEncoder(encoder_folders["gemma_2b"], readings("gemma_2b"), CPU)
    assert gemma.token_ids("") == [2]
    assert gemma.token_ids(TEXTS[0])[0] == 2
    assert gemma.token_ids(TEXTS[0])[-1] != 1


def test_a_cut_text_keeps_its_end_mark(encoder_folders):
    encoder = FrozenTextEncoder(encoder_folders["llama2_7b"], Reading(8, add_eos=True), CPU)
    ids = encoder.token_ids(TEXTS[0])
    assert (len(ids), ids[0], ids[-1]) == (8, 1, 2)
    whole = FrozenTextEncoder(encoder_folders["llama2_7b"], Reading(99, add_eos=True), CPU)
    assert encoder.num_cut_tokens(TEXTS[0]) == len(whole.token_ids(TEXTS[0])) - 8


@torch.no_grad()
def test_padding_that_counts_is_what_the_encoder_sees_without_a_mask(encoder_folders):
    folder = encoder_folders["t5"]
    encoder = FrozenTextEncoder(folder, readings("t5"), CPU)
    features, lengths = encoder.encode(TEXTS)
    assert lengths == (77,) * len(TEXTS)
    model = model_of("t5", folder)
    for text, part in zip(TEXTS, features.split(lengths), strict=True):
        ids = torch.tensor([encoder.token_ids(text)])
        torch.testing.assert_close(part, model(input_ids=ids).last_hidden_state[0])


def test_marks_that_a_tokenizer_lacks_are_refused(encoder_folders):
    with pytest.raises(LuminaError, match=r"text_encoder\.padded=true needs a pad token"):
        FrozenTextEncoder(encoder_folders["llama2_7b"], Reading(8, padded=True), CPU)


def test_features_do_not_depend_on_caches_or_batch_mates(named, tmp_path):
    name, folder = named
    alone = [FrozenTextEncoder(folder, readings(name), CPU)([text])[0] for text in TEXTS]
    for _ in range(2):  # a cache that is empty, and one that is not
        encoder = FrozenTextEncoder(folder, readings(name), CPU, cache=tmp_path)
        for _ in range(2):
            together, lengths = encoder([*TEXTS, TEXTS[0]])
            assert together.dtype == torch.float32
            for part, wanted in zip(together.split(lengths), [*alone, alone[0]], strict=True):
                assert torch.equal(part, wanted)
    assert len(list(tmp_path.rglob("*.safetensors"))) == len(TEXTS)


def test_each_text_is_encoded_once(encoder_folders, tmp_path, num_forward_calls, monkeypatch):
    folder = encoder_folders["gemma_2b"]
    encoder = FrozenTextEncoder(folder, Reading(32), CPU, cache=tmp_path)
    for _ in range(2):
        encoder([*TEXTS, *TEXTS])
    assert num_forward_calls() == len(TEXTS)
    monkeypatch.setattr(frozen, "read_weights", no_weights)
    again = FrozenTextEncoder(folder, Reading(32), CPU, cache=tmp_path)
    assert torch.equal(again(TEXTS)[0], encoder(TEXTS)[0])
    assert again.text_dim == 32
    assert num_forward_calls() == len(TEXTS)
    for other in (Reading(31), Reading(32, hidden_state=-2), Reading(32, dtype="bfloat16")):
        with pytest.raises(AssertionError, match="weights were read"):
            FrozenTextEncoder(folder, other, CPU, cache=tmp_path)(TEXTS)


def test_another_encoder_looks_elsewhere(encoder_folders, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(encoder_folders["gemma_2b"], copy)
    first = FrozenTextEncoder(copy, Reading(32), CPU, cache=tmp_path / "cache")([OTHER])[0]
    shard = sorted(copy.glob("model-*.safetensors"))[0]
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-32] + bytes(32))
    second = FrozenTextEncoder(copy, Reading(32), CPU, cache=tmp_path / "cache")([OTHER])[0]
    assert len(list((tmp_path / "cache").iterdir())) == 2
    assert first.shape == second.shape


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "other"])
def test_a_damaged_file_is_computed_again(encoder_folders, tmp_path, damage):
    folder = encoder_folders["gemma_2b"]
    wanted = FrozenTextEncoder(folder, Reading(32), CPU, cache=tmp_path)([OTHER])[0]
    path = next(tmp_path.rglob("*.safetensors"))
    whole = path.read_bytes()
    damaged = {
        "cut": whole[:-1],
        "flip": whole[:-9] + bytes([whole[-9] ^ 64]) + whole[-8:],
        "empty": b"",
        "other": b"not safetensors at all" * 9,
    }
    path.write_bytes(damaged[damage])
    assert read_features(path) is None
    again = FrozenTextEncoder(folder, Reading(32), CPU, cache=tmp_path)([OTHER])[0]
    assert torch.equal(again, wanted)
    assert path.read_bytes() == whole


def test_a_cache_that_cannot_be_written_is_one_line(encoder_folders, tmp_path):
    (tmp_path / "file").write_text("")
    encoder = FrozenTextEncoder(
        encoder_folders["gemma_2b"], Reading(32), CPU, cache=tmp_path / "file"
    )
    with pytest.raises(LuminaError, match="cannot be written"):
        encoder([OTHER])


def test_released_weights_are_gone_and_come_back(encoder_folders, monkeypatch):
    encoder = FrozenTextEncoder(encoder_folders["gemma_2b"], Reading(32), CPU)
    first = encoder([OTHER])[0]
    encoder.release()
    assert encoder._encoder is not None  # so few stay
    monkeypatch.setattr(frozen, "RESIDENT_BYTES", 0)
    model = weakref.ref(encoder._encoder.model)
    encoder.encode_ahead(TEXTS)
    assert encoder._encoder is None
    assert model() is None
    assert torch.equal(encoder([OTHER])[0], first)
    encoder(TEXTS)
    assert encoder._encoder is None  # nothing was new
    encoder(["a new text"])
    assert encoder._encoder is not None


def test_an_encoder_that_is_gone_is_not_copied(encoder_folders, tmp_path):
    shutil.copytree(encoder_folders["gemma_2b"], tmp_path / "encoder")
    encoder = FrozenTextEncoder(tmp_path / "encoder", readings("gemma_2b"), CPU)
    for path in (tmp_path / "encoder").glob("*.safetensors"):
        path.unlink()
    with pytest.raises(LuminaError, match=r"the text encoder in .* is gone"):
        encoder.save(tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_memory_has_a_bound(encoder_folders, monkeypatch, num_forward_calls):
    encoder = FrozenTextEncoder(encoder_folders["t5"], Reading(8, padded=True), CPU)
    monkeypatch.setattr(frozen, "MEMORY_BYTES", 2 * 8 * 32 * 4)  # two texts
    first = encoder(["a"])[0]
    encoder(["b"])
    encoder(["a"])
    encoder(["c"])  # in the place of b
    assert list(encoder._features) == ["a", "c"]
    assert num_forward_calls() == 3
    together, _ = encoder(["a", "b", "c", "d"])
    assert torch.equal(together[:8], first)
    assert len(encoder._features) == 2


def test_threads_share_an_encoder(encoder_folders, monkeypatch):
    monkeypatch.setattr(frozen, "RESIDENT_BYTES", 0)
    encoder = FrozenTextEncoder(encoder_folders["gemma_2b"], Reading(32), CPU)
    alone = FrozenTextEncoder(encoder_folders["gemma_2b"], Reading(32), CPU)
    texts = [f"{number} red stars" for number in range(6)]

    def encode(number):
        encoder.encode_ahead([texts[number]])
        return encoder([texts[number], texts[number - 1]])[0]

    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(encode, range(len(texts))))
    for number, features in enumerate(found):
        assert torch.equal(features, alone([texts[number], texts[number - 1]])[0])


def test_a_sentencepiece_vocabulary_names_the_missing_package(encoder_folders, monkeypatch):
    import transformers.utils

    monkeypatch.setattr(transformers.utils, "is_sentencepiece_available", lambda: False)
    with pytest.raises(LuminaError, match=r"pip install 'lumina-core\[sentencepiece\]'") as error:
        FrozenTextEncoder(encoder_folders["llama2_7b"], Reading(8), CPU)
    assert "\n" not in str(error.value)
    FrozenTextEncoder(encoder_folders["gemma_2b"], Reading(8), CPU)  # needs none


def test_a_sentencepiece_vocabulary_without_its_marks_is_refused(encoder_folders, tmp_path):
    shutil.copytree(encoder_folders["llama2_7b"], tmp_path / "copy")
    (tmp_path / "copy" / "tokenizer_config.json").unlink()
    with pytest.raises(LuminaError, match=r"tokenizer_config\.json is missing"):
        FrozenTextEncoder(tmp_path / "copy", Reading(8), CPU)


def generated(folder, out, *more):
    words = ["+modality=image", f"checkpoint={folder}", f"out={out}", "device=cpu"]
    size = ["modality.height=32", "modality.width=32", "solver.num_steps=2", "guidance.scale=2"]
    return main(["run", *words, *size, *more, "a red circle"])


def test_train_and_run_end_to_end(
    named, tiny_training, tmp_path, monkeypatch, num_forward_calls, capsys
):
    name, folder = named
    monkeypatch.setattr(frozen, "RESIDENT_BYTES", 0)
    more = [f"text_encoder={name}", f"text_encoder.path={folder}", "caption_dropout=0.5"]
    more += [f"text_encoder.cache={tmp_path / 'cache'}", "max_steps=2"]
    assert main(["train", *tiny_training(tmp_path / "out", *more)]) == 0
    encoded = len(list((tmp_path / "cache").rglob("*.safetensors")))
    assert num_forward_calls() == encoded > 0  # each caption once
    step = tmp_path / "out" / "checkpoints" / "step-0000002"
    about = json.loads((step / "lumina.json").read_text())["text_encoder"]
    assert Reading(**{k: v for k, v in about.items() if k not in ("hub_id", "sha256")}) == readings(
        name
    )
    for path in (step / "text_encoder").iterdir():  # as it was, and nothing else
        assert path.read_bytes() == (folder / path.name).read_bytes()
    state = state_in(step)
    assert not [key for key in state if "text_encoder" in key]

    weights_at_prepare = []
    prepare = Backbone.forward
    monkeypatch.setattr(
        Backbone,
        "forward",
        lambda self, *args: weights_at_prepare.append(loaded()) or prepare(self, *args),
    )
    kept = []
    init = FrozenTextEncoder.__init__

    def remember(self, *args, **words):
        kept.append(self)
        init(self, *args, **words)

    def loaded():
        return [encoder._encoder is not None for encoder in kept]

    monkeypatch.setattr(FrozenTextEncoder, "__init__", remember)
    assert generated(step, tmp_path / "a.png") == 0
    assert weights_at_prepare
    assert not any(any(state) for state in weights_at_prepare)  # freed before the backbone runs


def test_resumed_training_is_the_same_with_and_without_a_cache(
    tiny_training, tmp_path, encoder_folders
):
    folder = encoder_folders["gemma_2b"]
    more = ["text_encoder=gemma_2b", f"text_encoder.path={folder}", "save_every=1"]
    cached = f"text_encoder.cache={tmp_path / 'cache'}"
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert main(["train", *tiny_training(whole, *more, "max_steps=2")]) == 0
    assert main(["train", *tiny_training(parts, *more, cached, "max_steps=2")]) == 0
    shutil.rmtree(parts / "checkpoints" / "step-0000002")
    assert main(["train", *tiny_training(parts, *more, cached, "max_steps=2", "resume=true")]) == 0
    first, second = (state_in(out / "checkpoints" / "step-0000002") for out in (whole, parts))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.fixture
def hub(encoder_folders, tmp_path, monkeypatch):
    """A cache of the hub that holds one encoder."""
    snapshot = tmp_path / "snapshot"
    shutil.copytree(encoder_folders["gemma_2b"], snapshot)

    def found(name):
        return snapshot if name == "google/gemma-2b" and snapshot.is_dir() else None

    monkeypatch.setattr("lumina_core.hub.snapshot", found)
    return snapshot


def test_an_encoder_of_the_hub_is_named_not_copied(hub, tiny_training, tmp_path, capsys):
    words = tiny_training(tmp_path / "out", "text_encoder=gemma_2b", "max_steps=1")
    assert main(["train", *words]) == 0
    step = tmp_path / "out" / "checkpoints" / "step-0000001"
    assert not (step / "text_encoder").exists()
    assert json.loads((step / "lumina.json").read_text())["text_encoder"]["hub_id"] == (
        "google/gemma-2b"
    )
    assert generated(step, tmp_path / "a.png") == 0
    checkpoint.export(step, tmp_path / "exported", torch.bfloat16)
    assert generated(tmp_path / "exported", tmp_path / "b.png") == 0
    shard = sorted(hub.glob("model-*.safetensors"))[0]
    shard.write_bytes(shard.read_bytes()[:-32] + bytes(32))
    copy = tmp_path / "elsewhere"
    shutil.copytree(step, copy)  # a model that was read before is kept
    capsys.readouterr()
    assert main(["train", *words, "resume=true", "max_steps=2"]) == 2
    assert "text_encoder.sha256" in capsys.readouterr().err
    assert generated(copy, tmp_path / "c.png") == 2
    assert "its sha256 differs" in capsys.readouterr().err
    shutil.rmtree(hub)
    assert generated(copy, tmp_path / "c.png") == 2
    assert "give download=true or a folder" in capsys.readouterr().err


def test_an_encoder_can_be_trained_from_a_folder(encoder_folders, tiny_training, tmp_path):
    folder = encoder_folders["t5"]
    more = [f"text_encoder.path={folder}", "text_encoder.hidden_state=-2", "max_steps=2"]
    assert main(["train", *tiny_training(tmp_path / "out", *more)]) == 0
    step = tmp_path / "out" / "checkpoints" / "step-0000002"
    assert [key for key in state_in(step) if "text_encoder" in key]
    assert generated(step, tmp_path / "a.png") == 0
