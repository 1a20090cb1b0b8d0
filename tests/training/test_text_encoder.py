"""What a run does with texts: encoded ahead where they are known, and warned of."""

from dataclasses import replace

import pytest
import torch
from PIL import Image

from lumina_core.cli.main import main
from lumina_core.data.pool import LatentPool
from lumina_core.data.source import CaptionedSample
from lumina_core.flow.settings import GuidanceConfig
from lumina_core.sampling import generate, sample
from lumina_core.sampling.compose import compose_sampling
from lumina_core.sampling.request import Request
from lumina_core.text import frozen as frozen_text
from lumina_core.text.encoder import load_text_encoder
from lumina_core.text.frozen import FrozenTextEncoder
from lumina_core.text.settings import Reading
from lumina_core.text.tiny import add_words
from lumina_core.training import command, start, text_encoder, train
from lumina_core.training.compose import compose_train

SIZES = {"pool_size": 5, "refresh_per_step": 0}


@pytest.fixture
def prepared(tiny_training, encoder_folders, tmp_path, monkeypatch):
    """A run just before its first step, whose encoder is too large to stay."""
    monkeypatch.setattr(frozen_text, "RESIDENT_BYTES", 0)

    def prepare(**sizes):
        more = [f"data.{key}={value}" for key, value in {**SIZES, **sizes}.items()]
        more += [f"text_encoder.path={encoder_folders['gemma_2b']}", "text_encoder.trainable=false"]
        more += ["validate_every=1", "num_validation_samples=2", "caption_dropout=0.5"]
        config = compose_train(tiny_training(tmp_path / "out", *more))
        run = start.start(config)
        return config, run, train.prepare(config, run)

    return prepare


def test_lasting_captions_are_encoded_ahead_and_the_weights_are_gone(prepared, monkeypatch):
    config, run, held = prepared()
    encoder = run.model.text_encoder
    known = {"", *(s.caption for s in held["image"].own), *run.mixture.lasting_captions}
    assert encoder._encoder is None
    assert encoder._features.keys() >= known

    def refuse(*_):
        raise AssertionError("a text is encoded during training")

    monkeypatch.setattr(frozen_text, "read_weights", refuse)
    train.train(config, run, {"image": compose_sampling("image")}, held)
    assert run.step == config.max_steps


def test_a_renewed_pool_keeps_the_weights_for_new_captions(prepared):
    _, run, _ = prepared(refresh_per_step=1)
    assert run.mixture.lasting_captions == []
    assert run.model.text_encoder._encoder is not None


@pytest.mark.parametrize("is_trained", [True, False])
def test_words_that_look_alike_are_warned_of(
    tiny_training, encoder_folders, tmp_path, capsys, monkeypatch, is_trained
):
    frozen = [f"text_encoder.path={encoder_folders['gemma_2b']}", "text_encoder.trainable=false"]
    words = tiny_training(tmp_path / "out", "max_steps=1", *(() if is_trained else frozen))
    config = compose_train(words)
    run = start.start(config)
    monkeypatch.setattr(text_encoder, "one_word_cosine", lambda *_: 0.2)
    assert list(text_encoder.word_notes(config, run.model.text_encoder, run.mixture)) == []
    monkeypatch.setattr(text_encoder, "one_word_cosine", lambda *_: 0.99)
    assert main(["train", *words]) == 0
    warning = capsys.readouterr().err.splitlines()[0]
    assert warning.startswith("warning: captions that differ in one word")
    assert ("text_encoder.trainable=true" in warning) == (not is_trained)
    assert ("is trained too" in warning) == is_trained


def test_a_refused_run_warns_of_no_words(tiny_training, tmp_path, refusal, monkeypatch):
    monkeypatch.setattr(text_encoder, "one_word_cosine", lambda *_: 0.99)
    (tmp_path / "out").write_text("a file")
    monkeypatch.setattr(command, "check_out", lambda *_: None)
    refusal("train", *tiny_training(tmp_path / "out"))


def test_words_that_a_checkpoint_never_saw_are_named(
    tiny_training, tiny_checkpoint, tmp_path, capsys
):
    picture = Image.new("RGB", (64, 64), "red")
    for number in range(4):
        (tmp_path / "set").mkdir(exist_ok=True)
        picture.save(tmp_path / "set" / f"{number}.png")
        words = " ".join(f"zebra{n}" for n in range(3 * number, 3 * number + 3))
        (tmp_path / "set" / f"{number}.txt").write_text(f"a red {words}")
    more = ["data=folder", f"data.path={tmp_path / 'set'}", "data.max_tokens=64", "max_steps=1"]
    words = tiny_training(tmp_path / "out", *more)
    assert main(["train", *words, f"init_from={tiny_checkpoint}"]) == 0
    shown = ", ".join(f"'{word}'" for word in sorted(f"zebra{n}" for n in range(12))[:8])
    told = f"note: new to the text encoder, which learns them: {shown} and 4 more\n"
    assert capsys.readouterr().err.startswith(told)
    assert main(["train", *words, "overwrite=true"]) == 0  # a new encoder knows every word
    assert "new to" not in capsys.readouterr().err


def test_new_words_get_embeddings_of_their_own_and_old_ones_keep_theirs(tiny_checkpoint, tmp_path):
    encoder = load_text_encoder(tiny_checkpoint / "text_encoder", Reading(max_tokens=32))
    known, before = ["a red circle", "two blue stars"], encoder.encode(["a red circle"])[0]
    assert add_words(encoder, known, seed=0) == []
    assert add_words(encoder, [*known, "a Zebra, moving"], seed=0) == ["moving", "zebra"]
    assert encoder.unknown_words("a zebra moving") == []
    assert encoder.unknown_words("yak") == ["yak"]
    assert torch.equal(encoder.encode(["a red circle"])[0], before)
    rows = encoder.model.get_input_embeddings().weight[-2:]
    assert 0.7 < rows.std() < 1.3
    assert not torch.equal(*encoder.encode(["zebra", "moving"])[0].chunk(2))
    (tmp_path / "saved").mkdir()
    encoder.save(tmp_path / "saved")
    again = load_text_encoder(tmp_path / "saved", Reading(max_tokens=32))
    assert torch.equal(again.encode(["a zebra moving"])[0], encoder.encode(["a zebra moving"])[0])


def test_lasting_captions_leave_out_what_cannot_be_used():
    class Half(LatentPool):
        captions = vocabulary_captions = variants = summary = held_out = None

        def draw(self, number):
            return CaptionedSample(None, str(number)) if number % 2 else None

    pool = Half(4, 0)
    pool.advance(0)
    assert pool.lasting_captions == ["1", "3"]


def test_prompts_are_encoded_a_few_batches_ahead(encoder_folders, tiny_model, monkeypatch):
    monkeypatch.setattr(frozen_text, "RESIDENT_BYTES", 0)
    monkeypatch.setattr(sample, "NUM_TEXTS_AHEAD", 4)
    encoder = FrozenTextEncoder(encoder_folders["gemma_2b"], Reading(8), torch.device("cpu"))
    model = replace(tiny_model, text_encoder=encoder)
    groups = [[Request(f"{number} stars", "", 0, None)] for number in range(5)]
    seen = []
    for group in sample.in_turn(model, groups, GuidanceConfig(2.0)):
        seen.append((group[0].prompt, len(encoder._features), encoder._encoder))
    # each prompt beside the empty one: two batches hold four texts
    counts = [3, 3, 5, 5, 6]
    assert seen == [(f"{number} stars", counts[number], None) for number in range(5)]


def test_a_text_cache_serves_the_next_command(tiny_checkpoint, tmp_path, monkeypatch):
    words = ["+modality=image", f"checkpoint={tiny_checkpoint}", "solver.num_steps=1"]
    words += ["modality.height=32", "modality.width=32", "device=cpu"]

    def made(number, *more):
        generate._KEPT.clear()  # as in a new process
        out = tmp_path / f"{number}.png"
        assert main(["run", *words, f"out={out}", *more, "a red circle"]) == 0
        return out.read_bytes()

    cache = f"text_cache={tmp_path / 'features'}"
    plain, first = made(0), made(1, cache)
    monkeypatch.setattr(frozen_text, "read_weights", None)  # nobody reads them any more
    assert plain == first == made(2, cache)
    assert len(list((tmp_path / "features").rglob("*.safetensors"))) == 2  # the empty one beside it
