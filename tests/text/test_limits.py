"""Texts and tokenizers that explode: limits, stated in the message, before anything is computed."""

import json
import re
import shutil
from base64 import b64encode

import pytest
from tokenizers import normalizers, pre_tokenizers

from lumina_core import LuminaError
from lumina_core.cli.main import main
from lumina_core.data.caption_files import MAX_RECORD_BYTES, MAX_TEXT_BYTES
from lumina_core.data.listing import list_folder
from lumina_core.data.manifests import list_manifest
from lumina_core.records import MAX_TEXT
from lumina_core.sampling.compose import compose_run
from lumina_core.sampling.prompt_file import MAX_FILE_BYTES, read_prompts
from lumina_core.text.encoder import load_text_encoder
from lumina_core.text.settings import Reading
from lumina_core.text.tokenizer_limits import GROWTH, MAX_MADE, check_tokenizer

LONG = "x" * (MAX_TEXT + 1)
RUN = ["+modality=image", "checkpoint=null"]
READING = Reading(16)


def one_line(call):
    with pytest.raises(LuminaError) as raised:
        call()
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 1000
    return str(raised.value)


@pytest.mark.parametrize("key", ["prompt", "negative_prompt"])
def test_a_prompt_has_a_longest_length(key):
    words = ["+modality=image", "prompt=x", f"{key}={LONG}"]
    said = f"the {key} has 10001 characters; at most 10000 are read"
    assert said in one_line(lambda: compose_run(words))
    compose_run(["+modality=image", "prompt=x", f"{key}={LONG[1:]}"])


def test_the_command_line_says_it_in_one_line(refusal, work):
    assert "the prompt has 10001 characters" in refusal("run", "+modality=image", LONG)


@pytest.mark.parametrize("suffix", [".txt", ".jsonl"])
def test_a_long_line_of_a_prompt_file_is_named(tmp_path, suffix):
    config = compose_run(["+modality=image", "prompt=x"])
    lines = ["a star", LONG] if suffix == ".txt" else ['{"prompt": "a"}', f'{{"prompt": "{LONG}"}}']
    path = tmp_path / f"prompts{suffix}"
    path.write_text("\n".join(lines))
    said = f"{path}, line 2: the prompt has 10001 characters"
    assert one_line(lambda: read_prompts(path, config)).startswith(said)


def test_a_large_prompt_file_is_not_read(tmp_path):
    config = compose_run(["+modality=image", "prompt=x"])
    with (tmp_path / "prompts.txt").open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    said = f"cannot be read: it has more than {MAX_FILE_BYTES} bytes"
    assert said in one_line(lambda: read_prompts(tmp_path / "prompts.txt", config))


def test_a_long_prompt_in_a_repeated_file_names_the_file(make, work, refusal):
    made = make("a red circle", "out=a.png")["files"][0]["path"]
    from PIL import Image, PngImagePlugin

    image = Image.open(made)
    (key,) = image.text
    request = json.loads(image.text[key]) | {"prompt": LONG}
    del request["seal"]  # as of an earlier version, which nobody can call damaged
    info = PngImagePlugin.PngInfo()
    info.add_itxt(key, json.dumps(request))
    image.save("b.png", pnginfo=info)
    said = refusal("run", "repeat=b.png", "out=c.png")
    assert "b.png: the prompt has 10001 characters" in said


def test_long_captions_are_left_out_with_the_reason(tmp_path):
    for name in ("good", "long", "huge"):
        (tmp_path / f"{name}.png").touch()
    (tmp_path / "good.txt").write_text("a star")
    (tmp_path / "long.txt").write_text(LONG)
    (tmp_path / "huge.txt").write_text("x" * (MAX_TEXT_BYTES + 1))
    listing = list_folder(tmp_path, (".png",))
    assert [item.name for item in listing.items] == ["good.png"]
    assert listing.skipped == {
        "long.png": "its caption has 10001 characters; at most 10000 are read",
        "huge.png": "its caption in huge.txt cannot be read: it has more than 65536 bytes",
    }


@pytest.mark.parametrize("name", ["metadata.jsonl", "set.jsonl"])
def test_a_long_line_of_data_is_left_out_by_its_number(tmp_path, name):
    for picture in ("a", "b", "c"):
        (tmp_path / f"{picture}.png").touch()
    lines = [
        {"file_name": "a.png", "text": "a star"},
        {"file_name": "x.png", "text": "x" * MAX_RECORD_BYTES},
        {"file_name": "b.png", "text": LONG},
        {"file_name": "c.png", "text": "a ring"},
    ]
    (tmp_path / name).write_text("\n".join(map(json.dumps, lines)))
    is_folder = name == "metadata.jsonl"
    listing = list_folder(tmp_path, (".png",)) if is_folder else list_manifest(tmp_path / name)
    assert [item.name for item in listing.items] == ["a.png", "c.png"]
    assert listing.skipped == {
        f"{name}:2": f"it has more than {MAX_RECORD_BYTES} bytes",
        "b.png": "its caption has 10001 characters; at most 10000 are read",
    }


def replaced(pattern, content):
    return {"type": "Replace", "pattern": pattern, "content": content}


def charsmap(*texts):
    return b64encode((0).to_bytes(4, "little") + b"\0".join(texts) + b"\0").decode()


TEN = replaced({"String": "a"}, "a" * 10)
BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
CLASSIFIED = {"id": "[A]", "ids": [1] * 1000, "tokens": ["[A]"] * 1000}
EXPLOSIONS = {
    "replacements": {"normalizer": {"type": "Sequence", "normalizers": [TEN] * 20}},
    "one replacement": {"normalizer": replaced({"String": "a"}, "a" * 10**6)},
    "a pattern": {"normalizer": replaced({"Regex": ""}, "a" * 10_000)},
    "nested": {
        "normalizer": {
            "type": "Sequence",
            "normalizers": [{"type": "Sequence", "normalizers": [TEN] * 2}] * 4,
        }
    },
    "beginnings": {
        "normalizer": {
            "type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "a" * 100}] * 3,
        }
    },
    "a map": {"normalizer": {"type": "Precompiled", "precompiled_charsmap": charsmap(b"a" * 9999)}},
    "bytes": {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [BYTES] * 30}},
    "both": {
        "normalizer": {"type": "Sequence", "normalizers": [TEN] * 3},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [BYTES] * 2},
    },
    "added tokens": {
        "normalizer": {"type": "Sequence", "normalizers": [TEN] * 3},
        "added_tokens": [{"id": 0, "content": "a" * 5000, "normalized": True}],
    },
    "a template": {
        "post_processor": {
            "type": "TemplateProcessing", "special_tokens": {},
            "single": [{"Sequence": {"id": "A", "type_id": 0}}] * 10_000,
        }
    },
    "a mark": {
        "post_processor": {
            "type": "Sequence", "processors": [
                {"type": "TemplateProcessing", "special_tokens": {"[A]": CLASSIFIED}, "single": []}
            ],
        }
    },
    "a prefix": {"model": {"type": "BPE", "continuing_subword_prefix": "a" * 10**6}},
    "long words": {"model": {"type": "WordPiece", "max_input_chars_per_word": 10**9}},
}  # fmt: skip


@pytest.fixture
def with_steps(tiny_checkpoint, tmp_path):
    """Copy the text encoder of a checkpoint with other steps of its tokenizer."""

    def copy(**steps):
        folder = tmp_path / "encoder"
        shutil.copytree(tiny_checkpoint / "text_encoder", folder)
        about = json.loads((folder / "tokenizer.json").read_text())
        model = about["model"] | steps.pop("model", {})
        (folder / "tokenizer.json").write_text(json.dumps(about | steps | {"model": model}))
        return folder

    return copy


@pytest.mark.parametrize("kind", EXPLOSIONS)
def test_a_tokenizer_that_explodes_is_not_loaded(with_steps, kind):
    folder = with_steps(**EXPLOSIONS[kind])
    said = one_line(lambda: load_text_encoder(folder, READING))
    assert said.startswith(f"the text encoder in {folder} cannot be read: its ")
    assert re.search(r"(at most|more than) \d+", said)


@pytest.mark.parametrize("content", ["5", "[]", "{}", '{"normalizer": 5}', "[" * 100_000])
def test_a_tokenizer_that_is_none_is_one_line(with_steps, content):
    folder = with_steps()
    (folder / "tokenizer.json").write_text(content)
    assert "cannot be read: " in one_line(lambda: load_text_encoder(folder, READING))


def test_a_text_is_not_tokenized_that_may_become_too_long(with_steps):
    steps = {"type": "Sequence", "normalizers": [TEN] * 3}
    encoder = load_text_encoder(with_steps(normalizer=steps), READING)
    assert encoder.token_ids("x" * (MAX_MADE // 1000))
    said = one_line(lambda: encoder.token_ids("x" * (MAX_MADE // 1000 + 1)))
    assert "the tokenizer may make 1000 of each; shorten it to 4000" in said


def test_a_tokenizer_that_gives_up_is_one_line(with_steps):
    steps = replaced({"Regex": "(a+)+$"}, "x")  # of 40 letters it would try 2^40 divisions
    encoder = load_text_encoder(with_steps(normalizer=steps), READING)
    said = one_line(lambda: encoder.token_ids("a" * 40 + "!"))
    assert "gives up at a text of 41 characters" in said


@pytest.mark.parametrize(
    ("kind", "text"),
    [("NFC", "\U0001d160"), ("NFD", "\u1f82"), ("NFKC", "\ufdfa"), ("NFKD", "\ufdfa"),
     ("Lowercase", "\u0130"), ("BertNormalizer", "\u4e2d"), ("ByteLevel", "\U0001f600")],
)  # fmt: skip
def test_no_step_makes_more_of_a_character_than_is_counted(kind, text):
    made = (
        pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str(text)[0][0]
        if kind == "ByteLevel"
        else getattr(normalizers, kind)().normalize_str(text)
    )
    assert 1 < len(made) <= GROWTH[kind]


def test_the_steps_of_known_tokenizers_are_taken():
    spaces = replaced({"Regex": " {2,}"}, " ")
    albert = [replaced({"String": "``"}, '"'), replaced({"String": "''"}, '"'), {"type": "NFKD"}]
    albert += [{"type": "StripAccents"}, {"type": "Lowercase"}]
    albert += [{"type": "Precompiled", "precompiled_charsmap": charsmap(b"a" * 18)}, spaces]
    llama = [{"type": "Prepend", "prepend": "\u2581"}, replaced({"String": " "}, "\u2581")]
    clip = [{"type": "NFC"}, replaced({"Regex": "\\s+"}, " "), {"type": "Lowercase"}]
    for steps, words in ((albert, {"type": "Metaspace"}), (llama, None), (clip, BYTES)):
        normalizer = {"type": "Sequence", "normalizers": steps}
        check_tokenizer({"normalizer": normalizer, "pre_tokenizer": words})


def test_a_checkpoint_with_such_a_tokenizer_is_one_line(with_steps, checkpoint_copy, refusal, work):
    from checkpoint_edits import edit_manifest
    from lumina_core.files.hashes import sha256_of

    path = with_steps(**EXPLOSIONS["replacements"]) / "tokenizer.json"
    shutil.copy(path, checkpoint_copy / "text_encoder")
    edit_manifest(checkpoint_copy, files={"text_encoder/tokenizer.json": sha256_of(path)})
    said = refusal("run", f"checkpoint={checkpoint_copy}", "a" * 100)
    assert "its tokenizer may make more than 4000 characters of one" in said
    assert main(["info", str(checkpoint_copy)]) == 0
