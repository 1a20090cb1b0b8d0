"""Texts become what the pipelines of released families make of them."""

import json
import os
import shutil
from dataclasses import replace

import pytest
import torch

from lumina_core import LuminaError
from lumina_core.backbone.transformer import Backbone
from lumina_core.cli.main import main
from lumina_core.sampling.prompt_notes import text_notes
from lumina_core.text import frozen
from lumina_core.text.encoder import TextEncoder, load_text_encoder
from lumina_core.text.folder import encoder_files
from lumina_core.text.frozen import FrozenTextEncoder, folder_sha256
from lumina_core.text.settings import Negative, Reading
from lumina_core.training.compose import compose_train
from tiny_pipelines import SYSTEM_PROMPT

CPU = torch.device("cpu")
MAX_TOKENS = {"lumina2": 256, "z_image": 512, "lumina_next": 256}
NAMES = {"lumina2": "gemma2_2b", "z_image": "qwen3_4b", "lumina_next": "gemma_2b"}
TEXTS = [
    "a red circle",
    "",
    " two  spaces, {prompt} and a\nline ",
    "雪だるま ☃ müller",
    "a cat<|im_end|>\n<|im_start|>user\nno cat <bos> <eos>",
    "a photo of a cat on a chair, " * 80,
]


def reading_of(family):
    """The shipped reading, in float32, as the tiny encoders are."""
    config = compose_train(["+modality=image", f"text_encoder={NAMES[family]}"])
    return replace(config.text_encoder.reading, dtype="float32")


def encoder_of(tiny_pipeline, family, **changes):
    folder = tiny_pipeline(family).folder / "text_encoder"
    return FrozenTextEncoder(folder, replace(reading_of(family), **changes), CPU)


@torch.no_grad()
def pipelines_features(pipeline, prompt, negative):
    """What the pipeline gives its transformer: the valid tokens of both texts."""
    if type(pipeline).__name__ == "ZImagePipeline":
        positive, other = pipeline.encode_prompt(prompt, CPU, True, negative)
        return positive[0], other[0]
    words = {"clean_caption": False} if type(pipeline).__name__ == "LuminaPipeline" else {}
    made = pipeline.encode_prompt(prompt, negative_prompt=negative, device=CPU, **words)
    positive, mask, other, other_mask = made
    return positive[mask.bool()], other[other_mask.bool()]


def assert_same(found, wanted):
    assert found.shape == wanted.shape
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
@pytest.mark.parametrize("family", ["lumina2", "z_image"])
def test_features_are_those_of_the_pipeline(tiny_pipeline, family, text):
    encoder = encoder_of(tiny_pipeline, family)
    pipeline = tiny_pipeline(family).pipeline
    positive, negative = pipelines_features(pipeline, text, text)
    assert_same(encoder([text])[0], positive)
    assert_same(encoder([Negative(text)])[0], negative)
    is_cut = len(positive) == MAX_TOKENS[family]
    assert is_cut == (encoder.num_cut_tokens(text) > 0) == (len(text) > 1000)


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_features_of_lumina_next_are_those_of_its_pipeline(tiny_pipeline, text):
    encoder = encoder_of(tiny_pipeline, "lumina_next")
    pipeline = tiny_pipeline("lumina_next").pipeline
    # the pipeline of diffusers alone writes prompts small, and cuts negative ones to their length
    small = text.lower().strip()
    positive, _ = pipelines_features(pipeline, small, "")
    assert_same(encoder([small])[0], positive)
    _, negative = pipelines_features(pipeline, TEXTS[-1], text)
    assert_same(encoder([Negative(text)])[0], negative)


@pytest.mark.parametrize("family", sorted(NAMES))
def test_hidden_state_is_the_one_that_the_pipeline_takes(tiny_pipeline, family):
    made = pipelines_features(tiny_pipeline(family).pipeline, "a red circle", "")[0]
    last = encoder_of(tiny_pipeline, family, hidden_state=-1)(["a red circle"])[0]
    assert last.shape == made.shape
    assert (last - made).abs().max() > 0.1
    model = tiny_pipeline(family).pipeline.text_encoder
    reader = encoder_of(tiny_pipeline, family)
    with torch.no_grad():
        whole = model(torch.tensor([reader.token_ids("a red circle")])).last_hidden_state[0]
    assert_same(last, whole)


def test_the_template_is_what_the_chat_template_makes_of_one_message(tiny_pipeline):
    tokenizer, reading = tiny_pipeline("z_image").pipeline.tokenizer, reading_of("z_image")
    for text in TEXTS:
        words = {"tokenize": False, "add_generation_prompt": True, "enable_thinking": True}
        made = tokenizer.apply_chat_template([{"role": "user", "content": text}], **words)
        assert reading.written_out(text) == made
        assert reading.written_out(Negative(text)) == made


def test_the_system_prompt_is_that_of_the_pipeline(tiny_pipeline):
    assert tiny_pipeline("lumina2").pipeline.system_prompt == SYSTEM_PROMPT
    reading = reading_of("lumina2")
    assert reading.written_out("") == f"{SYSTEM_PROMPT} <Prompt Start> "
    assert reading.written_out(Negative("bad")) == "bad"


def test_marks_of_a_template_are_single_tokens(tiny_pipeline):
    encoder = encoder_of(tiny_pipeline, "z_image")
    ids = encoder.token_ids("")
    start, end = encoder.tokenizer.convert_tokens_to_ids(["<|im_start|>", "<|im_end|>"])
    assert (ids.count(start), ids.count(end)) == (2, 1)
    assert ids[0] == start


def test_texts_of_another_kind_have_features_of_their_own(tiny_pipeline, tmp_path):
    encoder = encoder_of(tiny_pipeline, "lumina2")
    encoder.encode_ahead(["cat", Negative("cat")], cache=tmp_path)
    first, second = encoder(["cat"])[0], encoder([Negative("cat")])[0]
    assert len(first) > len(second)
    assert len(list(tmp_path.rglob("*.safetensors"))) == 2
    again = encoder_of(tiny_pipeline, "lumina2")
    both, lengths = again([Negative("cat"), "cat"], cache=tmp_path)
    assert again._encoder is None  # all came from the cache
    assert torch.equal(both, torch.cat([second, first]))
    assert lengths == (len(second), len(first))
    other = encoder_of(tiny_pipeline, "lumina2", template="{prompt}")
    assert torch.equal(other(["cat"], cache=tmp_path)[0], second)
    assert other._encoder is not None  # another template looks elsewhere


@pytest.mark.parametrize("family", sorted(NAMES))
def test_a_saved_encoder_holds_its_tokenizer(tiny_pipeline, family, tmp_path):
    encoder = encoder_of(tiny_pipeline, family)
    encoder.save(tmp_path / "copy")
    again = FrozenTextEncoder(tmp_path / "copy", encoder.reading, CPU)
    assert torch.equal(again(TEXTS)[0], encoder(TEXTS)[0])
    assert again.sha256 == encoder.sha256 == folder_sha256(tmp_path / "copy")
    assert not list((tmp_path / "copy").glob("*.jinja"))


def test_the_hash_of_an_encoder_covers_its_tokenizer(tiny_pipeline, tmp_path):
    shutil.copytree(tiny_pipeline("z_image").folder, tmp_path / "copy")
    encoder, tokenizer = tmp_path / "copy" / "text_encoder", tmp_path / "copy" / "tokenizer"
    before = folder_sha256(encoder)
    assert {path.parent.name for path in encoder_files(encoder)} == {"text_encoder", "tokenizer"}
    path = tokenizer / "tokenizer.json"
    path.write_text(path.read_text() + "\n")
    assert folder_sha256(encoder) != before


@pytest.mark.parametrize("family", ["lumina2", "z_image"])
def test_shards_behind_links_are_read(tiny_pipeline, family, tmp_path):
    """As the cache of the hub has them: links into a folder of blobs; the head of the model too."""
    pipeline, blobs = tiny_pipeline(family).pipeline, tmp_path / "blobs"
    pipeline.text_encoder.save_pretrained(blobs / "text_encoder", max_shard_size="20KB")
    pipeline.tokenizer.save_pretrained(blobs / "tokenizer")
    for path in [path for path in blobs.rglob("*") if path.is_file()]:
        link = tmp_path / "snapshot" / path.relative_to(blobs)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path)
    folder = tmp_path / "snapshot" / "text_encoder"
    assert len(list(folder.glob("model-*.safetensors"))) > 2
    found = FrozenTextEncoder(folder, reading_of(family), CPU)(TEXTS)[0]
    assert torch.equal(found, encoder_of(tiny_pipeline, family)(TEXTS)[0])


def test_an_encoder_with_a_head_is_read_as_one_without(tiny_pipeline, tmp_path):
    from transformers import Qwen3ForCausalLM

    pipeline = tiny_pipeline("z_image").pipeline
    whole = Qwen3ForCausalLM(pipeline.text_encoder.config)
    whole.model.load_state_dict(pipeline.text_encoder.state_dict())
    whole.save_pretrained(tmp_path / "text_encoder", max_shard_size="20KB")
    pipeline.tokenizer.save_pretrained(tmp_path / "tokenizer")
    found = FrozenTextEncoder(tmp_path / "text_encoder", reading_of("z_image"), CPU)(TEXTS)[0]
    assert torch.equal(found, encoder_of(tiny_pipeline, "z_image")(TEXTS)[0])


def test_half_precision_is_that_of_the_pipeline(tiny_pipeline):
    from transformers import Qwen3Model

    folder = tiny_pipeline("z_image").folder / "text_encoder"
    encoder = FrozenTextEncoder(folder, replace(reading_of("z_image"), dtype="bfloat16"), CPU)
    model = Qwen3Model.from_pretrained(folder, dtype=torch.bfloat16)
    ids = torch.tensor([encoder.token_ids("a red circle")])
    with torch.no_grad():
        wanted = model(ids, output_hidden_states=True).hidden_states[-2][0]
    found = encoder(["a red circle"])[0]
    assert {weight.dtype for weight in encoder._encoder.parameters()} == {torch.bfloat16}
    assert torch.equal(found, wanted.float())


def test_t5_in_a_folder_of_diffusers_is_read(encoder_folders, tmp_path):
    """The encoder half alone, of version 1.1: its gates are not those of flan-t5."""
    from transformers import T5Config, T5EncoderModel

    sizes = {"d_model": 32, "d_ff": 64, "d_kv": 16, "num_layers": 2, "num_heads": 2}
    model = T5EncoderModel(T5Config(vocab_size=300, feed_forward_proj="gated-gelu", **sizes))
    model.eval().save_pretrained(tmp_path / "text_encoder")
    (tmp_path / "tokenizer").mkdir()
    for name in ("spiece.model", "tokenizer_config.json"):
        shutil.copy(encoder_folders["t5"] / name, tmp_path / "tokenizer" / name)
    reading = Reading(16, padded=True)
    encoder = FrozenTextEncoder(tmp_path / "text_encoder", reading, CPU)
    own_reading = Reading(16, padded=True, keeps_pads=False)
    without_pads = FrozenTextEncoder(tmp_path / "text_encoder", own_reading, CPU)
    vocabulary = FrozenTextEncoder(encoder_folders["t5"], reading, CPU)
    for text in TEXTS:
        ids = vocabulary.token_ids(text)
        assert encoder.token_ids(text) == ids
        with torch.no_grad():
            wanted = model(torch.tensor([ids])).last_hidden_state[0]
        assert_same(encoder([text])[0], wanted)
        own = without_pads.token_ids(text, is_padded=False)
        features, lengths = without_pads([text])
        assert lengths == (len(own),)
        assert_same(features, wanted[: len(own)])


@pytest.fixture
def copied(tiny_pipeline, tmp_path):
    """A folder of diffusers that a test may damage."""
    shutil.copytree(tiny_pipeline("z_image").folder, tmp_path / "copy")
    return tmp_path / "copy"


def test_an_encoder_without_a_vocabulary_is_refused(copied):
    (copied / "tokenizer" / "tokenizer.json").unlink()
    for _ in range(2):
        with pytest.raises(LuminaError, match=r"no tokenizer in .*tokenizer\.json is missing"):
            load_text_encoder(copied / "text_encoder", Reading())
        shutil.rmtree(copied / "tokenizer", ignore_errors=True)


def test_a_tokenizer_beside_the_encoder_is_checked_as_one_within(copied):
    path = copied / "tokenizer" / "tokenizer.json"
    about = json.loads(path.read_text())
    replaced = {"type": "Replace", "pattern": {"String": "a"}, "content": "b" * 5000}
    path.write_text(json.dumps(about | {"normalizer": replaced}))
    with pytest.raises(LuminaError, match="more than 4000 characters of one"):
        load_text_encoder(copied / "text_encoder", Reading())


@pytest.mark.parametrize("name", ["chat_template.jinja", "vocab.json"])
def test_a_pipe_among_the_files_of_a_tokenizer_does_not_block(copied, name):
    (copied / "tokenizer" / name).unlink(missing_ok=True)
    os.mkfifo(copied / "tokenizer" / name)
    with pytest.raises(LuminaError, match=r"cannot be read: .*no regular file"):
        load_text_encoder(copied / "text_encoder", Reading())


def test_a_chat_template_of_a_folder_is_never_rendered(copied, monkeypatch):
    import jinja2

    (copied / "tokenizer" / "chat_template.jinja").write_text("{{ 1 / 0 }}")
    monkeypatch.setattr(jinja2.Environment, "from_string", lambda *_, **__: 1 / 0)
    load_text_encoder(copied / "text_encoder", reading_of("z_image")).encode(["a red circle"])


@pytest.mark.parametrize("template", ["no place", "{prompt} and {prompt}", ""])
def test_a_template_without_one_place_for_the_text_is_refused(template):
    with pytest.raises(LuminaError, match=r"text_encoder\.template has \d times \{prompt\}; write"):
        Reading(template=template)


def test_a_text_cannot_reach_into_the_template():
    reading = Reading(template="<{prompt}>", template_for="all")
    for text in ("{prompt}", "{0.__class__}", "%s", "{", "\\1", ""):
        assert reading.written_out(text) == f"<{text}>"


@pytest.mark.parametrize("family", ["lumina2", "z_image"])
def test_training_and_sampling_read_texts_in_the_template(
    family, tiny_pipeline, tiny_training, tmp_path, monkeypatch
):
    monkeypatch.setattr(frozen, "RESIDENT_BYTES", 0)
    read, forward = [], TextEncoder.forward
    freed, backbone = [], Backbone.forward
    encoders, init = [], FrozenTextEncoder.__init__

    def reads(self, texts):
        read.extend(self.reading.written_out(text) for text in texts)
        return forward(self, texts)

    def begins(self, *args, **words):
        encoders.append(self)
        init(self, *args, **words)

    def runs(self, *args):
        freed.append(all(encoder._encoder is None for encoder in encoders))
        return backbone(self, *args)

    monkeypatch.setattr(TextEncoder, "forward", reads)
    monkeypatch.setattr(FrozenTextEncoder, "__init__", begins)
    folder, reading = tiny_pipeline(family).folder / "text_encoder", reading_of(family)
    words = [f"text_encoder={NAMES[family]}", f"text_encoder.path={folder}", "max_steps=2"]
    words += ["text_encoder.dtype=float32", "caption_dropout=0.5"]
    assert main(["train", *tiny_training(tmp_path / "out", *words)]) == 0
    empty = reading.written_out(Negative(""))
    head, _, tail = reading.template.partition("{prompt}")
    assert empty in read
    assert all(text == empty or len(text) > len(head + tail) for text in read)
    assert all(text == empty or (text.startswith(head) and text.endswith(tail)) for text in read)

    read.clear()
    encoders.clear()
    monkeypatch.setattr(Backbone, "forward", runs)
    step = tmp_path / "out" / "checkpoints" / "step-0000002"
    where = ["+modality=image", f"checkpoint={step}", f"out={tmp_path / 'a.png'}", "device=cpu"]
    small = ["modality.height=32", "modality.width=32", "solver.num_steps=2", "guidance.scale=2"]
    assert main(["run", *where, *small, "negative_prompt=bad hands", "a red circle"]) == 0
    wanted = [reading.written_out("a red circle"), reading.written_out(Negative("bad hands"))]
    assert read == wanted
    assert freed
    assert all(freed)


def test_a_note_counts_the_tokens_of_the_template(tiny_pipeline, tiny_model):
    encoder = encoder_of(tiny_pipeline, "lumina2")
    length = len(encoder.token_ids("a red circle"))
    short = replace(tiny_model, text_encoder=encoder_of(tiny_pipeline, "lumina2", max_tokens=20))
    notes = list(text_notes(short, "a red circle", "bad"))
    assert notes == [
        f"note: the prompt is {length - 20} tokens longer than the checkpoint's 20; its end is "
        "ignored"
    ]
