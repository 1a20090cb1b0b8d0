import json
import logging
from dataclasses import asdict, replace

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import nn

from lumina_core import LuminaError
from lumina_core.text.encoder import MAX_COSINE, TextEncoder, load_text_encoder, one_word_cosine
from lumina_core.text.settings import Negative, Reading, TextEncoderConfig
from lumina_core.text.tiny import add_words, create_tiny

CAPTIONS = [
    "a red circle and a blue square",
    "a green star on the left of a white ring",
    "three yellow crosses on a navy background",
    "a picture of a small purple triangle",
]
READING = Reading(32)
SHAPE = {"hidden_size": 32, "depth": 2, "num_heads": 2}
CONFIG = TextEncoderConfig(path=None, **asdict(READING), cache=None, trainable=True, **SHAPE)
AWKWARD = [
    "",
    "circle",
    "e=mc2",
    'it\'s a "quoted" {braced}, [listed] circle',
    "雪だるま ☃ müller",
    "a red circle " * 154,  # 2,002 characters
    "\n\t ",
]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> TextEncoder:
    folder = tmp_path_factory.mktemp("tiny")
    create_tiny(folder, CAPTIONS, CONFIG, seed=0)
    return load_text_encoder(folder, READING)


def bpe_folder(folder, model):
    """A folder as the models of a hub have it: byte-level BPE, no pad token, no [BOS]."""
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, initial_alphabet=alphabet, special_tokens=["<end>"], show_progress=False
    )
    tokenizer.train_from_iterator(CAPTIONS, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<end>", model_max_length=16
    )
    fast.save_pretrained(folder)
    model.save_pretrained(folder)
    return folder


def gpt2():
    from transformers import GPT2Config, GPT2Model

    return GPT2Model(GPT2Config(vocab_size=300, n_positions=64, n_embd=32, n_layer=1, n_head=2))


def llama():
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1}
    return LlamaForCausalLM(LlamaConfig(vocab_size=300, num_attention_heads=2, **sizes))


def t5():
    from transformers import T5Config, T5ForConditionalGeneration

    sizes = {"d_model": 32, "d_ff": 64, "d_kv": 16, "num_layers": 1, "num_heads": 2}
    return T5ForConditionalGeneration(T5Config(vocab_size=300, **sizes))


@pytest.fixture(params=["tiny", "gpt2", "llama", "t5"])
def encoder(request, tiny, tmp_path):
    if request.param == "tiny":
        return tiny
    model = {"gpt2": gpt2, "llama": llama, "t5": t5}[request.param]()
    return load_text_encoder(bpe_folder(tmp_path, model), READING)


def test_any_folder_of_transformers_gives_features(encoder):
    features, lengths = encoder.encode(CAPTIONS)
    assert features.shape == (sum(lengths), encoder.text_dim)
    assert features.isfinite().all()
    assert not encoder.model.training


@torch.no_grad()
def test_padding_leaves_features_unchanged(encoder):
    texts = [*CAPTIONS, *AWKWARD]
    together, lengths = encoder(texts)
    for part, text in zip(together.split(lengths), texts, strict=True):
        alone, _ = encoder([text])
        torch.testing.assert_close(part, alone, atol=1e-5, rtol=1e-5)


def test_a_text_that_stands_there_twice_is_encoded_once(tiny):
    rows = []
    hook = tiny.model.register_forward_pre_hook(
        lambda _, args, given: rows.append(len(given["input_ids"])), with_kwargs=True
    )
    again = [Negative(""), CAPTIONS[0], CAPTIONS[1], CAPTIONS[0], Negative("")]
    together, lengths = tiny(again)
    hook.remove()
    assert rows == [3]
    for part, text in zip(together.split(lengths), again, strict=True):
        torch.testing.assert_close(part, tiny([text])[0], atol=1e-5, rtol=1e-5)
    weight = tiny.model.embed_tokens.weight
    (together,) = torch.autograd.grad(together.square().sum(), weight)
    alone = [torch.autograd.grad(tiny([text])[0].square().sum(), weight)[0] for text in again]
    torch.testing.assert_close(together, sum(alone), atol=1e-4, rtol=1e-4)


def test_encode_gives_each_text_as_if_alone(encoder):
    texts = [*CAPTIONS, "", CAPTIONS[0], *AWKWARD]
    together, lengths = encoder.encode(texts)
    for part, text in zip(together.split(lengths), texts, strict=True):
        assert torch.equal(part, encoder.encode([text])[0])


def test_awkward_texts_have_features_and_no_advice(encoder, caplog, capfd):
    with caplog.at_level(logging.DEBUG):
        features, lengths = encoder.encode(AWKWARD)
        cut = [encoder.num_cut_tokens(text) for text in AWKWARD]
    assert features.isfinite().all()
    assert min(lengths) >= 1
    assert max(lengths) == encoder.max_tokens
    assert lengths[0] <= 2
    assert [n > 0 for n in cut] == [text.startswith("a red") for text in AWKWARD]
    assert not caplog.records
    assert capfd.readouterr() == ("", "")


def test_save_and_load_give_the_same_features(encoder, tmp_path, capfd):
    encoder.save(tmp_path / "saved")
    again = load_text_encoder(tmp_path / "saved", encoder.reading)
    assert torch.equal(encoder.encode(CAPTIONS)[0], again.encode(CAPTIONS)[0])
    assert capfd.readouterr() == ("", "")


def test_unknown_words_are_named_in_order(tiny):
    text = "A Red circle, and a 'tesseract' on ☃ e=mc2 tesseract"
    assert tiny.unknown_words(text) == ["tesseract", "☃", "e", "mc2"]
    assert tiny.unknown_words("a red circle!") == []
    assert tiny.unknown_words("") == []


def test_tiny_reads_words_whatever_their_case(tiny):
    assert torch.equal(tiny.encode(["A RED circle."])[0], tiny.encode(["a red circle"])[0])


def test_tiny_depends_on_its_seed_alone(tmp_path):
    weights = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        (tmp_path / name).mkdir()
        torch.rand(3)  # the state of the process is neither used ...
        before = torch.get_rng_state()
        create_tiny(tmp_path / name, CAPTIONS, CONFIG, seed)
        assert torch.equal(before, torch.get_rng_state())  # ... nor changed
        weights.append((tmp_path / name / "model.safetensors").read_bytes())
    assert weights[0] == weights[1] != weights[2]


def test_one_word_cosine_finds_features_that_starve(tiny, tmp_path):
    assert one_word_cosine(tiny, CAPTIONS) < MAX_COSINE
    create_tiny(tmp_path, CAPTIONS, CONFIG, seed=0)
    usual = load_text_encoder(tmp_path, READING)
    for parameter in usual.model.parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=0.02)
    shared = torch.randn(32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():  # what a final norm's bias and a shared mean do to small features
        usual.model.embed_tokens.weight.add_(shared)
    assert one_word_cosine(usual, CAPTIONS) > MAX_COSINE


def test_one_word_cosine_of_equal_captions_is_zero(tiny):
    assert one_word_cosine(tiny, ["a a", "a a"]) == 0.0


def test_code_in_a_folder_never_runs(tiny, tmp_path):
    folder = tmp_path / "evil"
    tiny.save(folder)
    marker = tmp_path / "ran"
    (folder / "evil.py").write_text(f"open({str(marker)!r}, 'w')\nclass Evil: ...\n")
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoConfig": "evil.Evil", "AutoModel": "evil.Evil"}
    for model_type in ("llama", "evil"):
        config["model_type"] = model_type
        (folder / "config.json").write_text(json.dumps(config))
        if model_type == "llama":
            load_text_encoder(folder, READING)
        else:
            with pytest.raises(LuminaError, match="cannot be read"):
                load_text_encoder(folder, READING)
    assert not marker.exists()


def test_a_pickle_is_never_read(tiny, tmp_path):
    tiny.save(tmp_path)
    torch.save(tiny.model.state_dict(), tmp_path / "pytorch_model.bin")
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(LuminaError, match="cannot be read"):
        load_text_encoder(tmp_path, READING)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_broken_folder_is_one_line(tiny, tmp_path, name):
    tiny.save(tmp_path)
    (tmp_path / name).write_bytes(b"broken")
    with pytest.raises(LuminaError) as raised:
        load_text_encoder(tmp_path, READING)
    assert "\n" not in str(raised.value)
    assert str(tmp_path) in str(raised.value)


def test_a_token_that_the_model_does_not_have_is_refused(tiny, tmp_path):
    tiny.save(tmp_path)
    path = tmp_path / "tokenizer.json"
    about = json.loads(path.read_text())
    about["model"]["vocab"]["circle"] = 10**6
    path.write_text(json.dumps(about))
    encoder = load_text_encoder(tmp_path, READING)
    assert len(encoder.encode(["a red square"])[0])
    with pytest.raises(LuminaError, match=r"names token 1000000, and its weights have \d+; take"):
        encoder.encode(["a red circle"])


def test_missing_weights_are_refused(tiny, tmp_path):
    from safetensors.torch import load_file, save_file

    tiny.save(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    weights.pop("norm.weight")
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(LuminaError, match=r"lacks 1 weights, such as norm\.weight"):
        load_text_encoder(tmp_path, READING)
    with pytest.raises(LuminaError, match=r"config\.json is missing"):
        load_text_encoder(tmp_path / "nowhere", READING)


def test_more_tokens_than_positions_are_refused(tmp_path):
    folder = bpe_folder(tmp_path, gpt2())
    with pytest.raises(LuminaError, match="use at most 64"):
        load_text_encoder(folder, Reading(65))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"max_tokens": 0}, "text_encoder.max_tokens is 0"),
        ({"hidden_size": 0}, "text_encoder.hidden_size is 0"),
        ({"depth": 0}, "text_encoder.depth is 0"),
        ({"num_heads": 0}, "text_encoder.num_heads is 0"),
        ({"trainable": False}, "needs text_encoder.path"),
        ({"hidden_state": 0}, "text_encoder.hidden_state is 0; set a whole number at most -1"),
        ({"dtype": "float8"}, "text_encoder.dtype is 'float8'; choose one of"),
        ({"dtype": "bfloat16"}, "text_encoder.dtype=bfloat16 is for frozen encoders"),
        ({"cache": "features"}, "text_encoder.cache keeps features of frozen encoders"),
    ],
)
def test_config_refuses_what_cannot_take_effect(values, message):
    with pytest.raises(LuminaError) as error:
        replace(CONFIG, **values)
    assert message in str(error.value)


def test_a_tokenizer_that_does_not_fit_on_the_disk_is_an_error_of_the_system(
    tiny, tmp_path, monkeypatch
):
    def no_space(*_, **__):
        raise Exception("No space left on device (os error 28)")  # as the Rust tokenizer does

    monkeypatch.setattr(type(tiny.tokenizer), "save_pretrained", no_space)
    with pytest.raises(OSError, match="No space left on device"):
        tiny.save(tmp_path / "folder")


def test_what_is_saved_depends_neither_on_reading_nor_on_what_was_asked(
    tmp_path, encoder_folders, files_below
):
    reading = Reading(max_tokens=9)
    folders = dict(encoder_folders)
    folders["tiny"] = tmp_path / "tiny"
    create_tiny(folders["tiny"], CAPTIONS, CONFIG, seed=0)
    for name, folder in folders.items():
        encoder = load_text_encoder(folder, reading)
        add_words(encoder, ["a zebra"], 0)  # its tokenizer is made, not read
        for number in range(3):
            encoder.save(tmp_path / f"{name}{number}")
            encoder = load_text_encoder(tmp_path / f"{name}{number}", reading)
            [encoder.token_ids, encoder.unknown_words, encoder.num_cut_tokens][number]("a " * 20)
        first, *others = [files_below(tmp_path / f"{name}{number}") for number in range(3)]
        assert all(other == first for other in others), name
