"""The audio modality as a whole, on a small random autoencoder."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lumina_audio.audio import AudioModality
from lumina_audio.audio_files import AudioDecoder
from lumina_audio.options import AudioCondition, AudioOptions
from lumina_audio.samples import FULL_SCALE
from lumina_core import LuminaError, SizeLimits
from lumina_core.cli.main import main
from lumina_core.config.compose import compose_options
from lumina_core.testing.fixtures import tiny_words
from lumina_core.training.train_vae import AutoencoderShape, build_autoencoder

CHANNELS, RATE, STRIDE = 4, 16_000, 4
TRAINING = ("token_budget=600",)
ROW = STRIDE * 256  # samples
TOKEN = 2 * ROW


@pytest.fixture(scope="module")
def vae(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vae")
    model = build_autoencoder(AutoencoderShape(CHANNELS, (8, 8, 8), 1), seed=0, num_colours=1)
    model.register_to_config(latents_mean=[0.5] * CHANNELS, latents_std=[2.0] * CHANNELS)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def modality(vae):
    return AudioModality(options(), vae)


@pytest.fixture(scope="module")
def trained(tiny_checkpoint_of, vae):
    """A checkpoint of three steps."""
    return tiny_checkpoint_of("audio", f"modality.vae={vae}", *TRAINING)


@pytest.fixture
def ask(trained, tmp_path, monkeypatch):
    """The words of a small request, in an empty folder; later words win over earlier ones."""
    monkeypatch.chdir(tmp_path)
    return lambda *words: ["run", *at(trained), *words]


def at(folder):
    return [
        "+modality=audio", f"checkpoint={folder}", "modality.seconds=0.5", "solver.num_steps=2",
        "device=cpu",
    ]  # fmt: skip


def options(**values) -> AudioOptions:
    return compose_options("audio", {"seconds": 0.5, **values})


def sound(seconds=0.5, frequency=440.0, rate=RATE):
    time = torch.arange(round(seconds * rate)) / rate
    return (0.4 * torch.sin(2 * torch.pi * frequency * time) * FULL_SCALE).to(torch.int16)


def ramp(length):
    return torch.arange(length).remainder(30_000).to(torch.int16)


def write(path, media, rate=RATE):
    options = compose_options("audio", {"sample_rate": rate, "fmin": 0.0, "fmax": rate / 2})
    AudioDecoder(rate).write(media, Path(path), {}, options)
    return str(path)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"seconds": 0.0},
            "seconds is 0.0; set a finite number above 0 and at most 3600",
        ),
        ({"seconds": 4000.0}, "modality.seconds is 4000.0"),
        ({"sample_rate": 10}, "modality.sample_rate is 10; set a whole number from 1000 to 192000"),
        ({"hop_length": 2048}, "modality.hop_length=2048 is more than modality.n_fft=1024"),
        ({"num_mels": 0}, "modality.num_mels is 0; set a whole number from 1 to 1024"),
        ({"fmax": 9000.0}, "use 0 <= fmin < fmax <= 8000, half the sample rate"),
        ({"fmin": 8000.0}, "use 0 <= fmin < fmax <= 8000, half the sample rate"),
        ({"mel_scale": "slany"}, r"choose one of slaney, htk.*slaney"),
        ({"mel_range": [1.0, 1.0]}, "the first must be below the second"),
        ({"mel_range": [float("-inf"), 1.0]}, "set finite numbers"),
        ({"patch": [0, 5]}, "set whole numbers from 1 to 1024"),
    ],
)
def test_options_that_describe_no_sound_are_refused(values, message):
    with pytest.raises(LuminaError, match=message):
        options(**values)


@pytest.mark.parametrize("seconds", [0.001, 0.128, 0.129, 0.5, 2.5])
def test_a_duration_is_rounded_up_to_tokens_and_trimmed(modality, seconds):
    wanted = options(seconds=seconds)
    media = sound(seconds)
    assert modality.media_shape(wanted) == tuple(media.shape)
    tokens = -(-len(media) // (2 * ROW))
    shape = modality.vae.latent_shape(tuple(media.shape))
    assert shape == (CHANNELS, 1, 2 * tokens, 20)
    latent = modality.vae.encode(media)
    assert tuple(latent.shape) == shape
    grid = modality.tokenizer.grid(shape)
    assert (grid.frames, grid.rows, grid.columns) == (1, tokens, 4)
    assert torch.equal(
        modality.tokenizer.detokenize(modality.tokenizer.tokenize(latent), grid), latent
    )
    decoded = modality.vae.decode(latent)
    assert decoded.shape == (tokens * 2 * ROW,) and decoded.dtype == torch.int16
    trimmed = modality.decode(latent, wanted)
    assert trimmed.shape == media.shape
    assert torch.equal(trimmed, modality.vae.decode(latent, wanted))


def test_bands_that_fill_no_tokens_are_refused(vae):
    modality = AudioModality(options(num_mels=72), vae)
    with pytest.raises(LuminaError, match=r"num_mels=72 is not divisible by 20.*use 60 or 80"):
        modality.vae.latent_shape((RATE,))


def test_a_second_has_the_same_place_in_a_sound_of_any_length(modality):
    from lumina_core.sequence import layout

    def places(seconds):
        shape = modality.vae.latent_shape((round(seconds * RATE),))
        return layout(modality.tokenizer.grid(shape), separators=True).coordinates

    short, long = places(1.0), places(8.0)
    assert torch.equal(long[: len(short)], short)
    assert short[0, 1] == pytest.approx(8 * ROW / RATE)  # middle of the first token
    assert short[:, 2].min() == -3 and short[:, 2].max() == 5  # pitch from its middle, [nextline]


def test_the_latent_of_a_sound_ends_in_that_of_silence(modality):
    pixels = modality.vae.pixels(torch.zeros(4 * ROW, dtype=torch.int16))
    assert torch.allclose(pixels, torch.full_like(pixels, -1.0), atol=1e-3)
    longer = torch.nn.functional.pad(sound(2 * ROW / RATE), (0, 4 * ROW))
    whole = modality.vae.pixels(longer)[0, 0]
    assert whole.shape == (24, 80) and torch.allclose(whole[-8:], pixels[0, 0, -8:])


def test_what_is_too_loud_is_made_softer_and_said(modality, monkeypatch, caplog):
    loud = torch.linspace(-2, 2, ROW)
    monkeypatch.setattr(modality.vae, "vocoder", lambda name: lambda mel: loud)
    made = modality.vae.decode(torch.zeros(CHANNELS, 1, 2, 20))
    assert made.abs().max() == FULL_SCALE
    torch.testing.assert_close(made.float(), loud / 2 * FULL_SCALE, atol=0.51, rtol=0)
    assert "made 2 times softer" in caplog.text
    caplog.clear()
    monkeypatch.setattr(modality.vae, "vocoder", lambda name: lambda mel: loud / 2)
    assert torch.equal(modality.vae.decode(torch.zeros(CHANNELS, 1, 2, 20)), made)
    assert not caplog.text


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg"])
def test_a_run_writes_a_sound_that_repeats(suffix, make, tmp_path, capsys):
    (file,) = make("two high beeps, then a falling sweep", f"out=a{suffix}", "seed=3")["files"]
    assert (tmp_path / f"a{suffix}-preview.png").is_file()
    assert len(AudioDecoder(RATE).read(tmp_path / f"a{suffix}")) == RATE // 2
    assert main(["info", f"a{suffix}", "--json"]) == 0
    request = json.loads(capsys.readouterr().out)
    assert request["prompt"] == "two high beeps, then a falling sweep"
    assert request["options"]["seconds"] == 0.5
    again = make(f"repeat=a{suffix}", f"out=again{suffix}")["files"][0]
    assert again["media_sha256"] == file["media_sha256"]
    assert again["sha256"] == file["sha256"]


def test_the_beginning_that_is_given_is_known(modality, tmp_path):
    path = write(tmp_path / "a.wav", sound(0.5))
    wanted = options(seconds=1.0)
    given = modality.condition(AudioCondition(path, None, None), wanted)
    assert given.media.shape == (RATE,) and given.known.shape == (1, 16, 20)
    assert torch.equal(given.media[: RATE // 2], sound(0.5))
    assert not given.media[RATE // 2 :].any()
    rows = RATE // 2 // ROW
    assert given.known[0, :, 0].tolist() == [True] * rows + [False] * (16 - rows)
    assert given.known.all(2).equal(given.known.any(2))
    less = modality.condition(AudioCondition(path, 0.2, None), wanted)
    assert torch.equal(less.media[:3200], sound(0.5)[:3200]) and not less.media[3200:].any()
    assert less.known[0, :, 0].sum() == 3200 // ROW


def test_a_gap_is_unknown_and_silent(modality, tmp_path):
    path = write(tmp_path / "a.wav", sound(1.0))
    given = modality.condition(AudioCondition(path, None, (0.25, 0.5)), options(seconds=1.0))
    start, end = RATE // 4, RATE // 2
    assert torch.equal(given.media[:start], sound(1.0)[:start])
    assert not given.media[start:end].any()
    assert torch.equal(given.media[end:], sound(1.0)[end:])
    known = given.known[0, :, 0]
    assert known[: start // ROW].all() and known[-(-end // ROW) :].all()
    assert not known[start // ROW : -(-end // ROW)].any()


def test_a_given_sound_changes_what_follows(make, tmp_path):
    write("given.wav", sound(0.25))
    made = {}
    for name, words in (
        ("alone", ()),
        ("given", ("condition.sound=given.wav",)),
        ("part", ("condition.sound=given.wav", "condition.seconds=0.13")),
        ("gap", ("condition.sound=whole.wav", "condition.gap=[0.1,0.3]")),
    ):
        write("whole.wav", sound(0.5))
        made[name] = make("a low tone", *words, f"out=made-{name}.wav")["files"][0]["media_sha256"]
    assert len(set(made.values())) == len(made)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["condition.sound=none.wav"], "none.wav"),
        (["condition.sound=text.wav"], "text.wav"),
        (["condition.sound=long.wav"], "is longer than the 0.5 s of the sound to make"),
        (["condition.sound=half.wav"], "everything is given"),
        (["condition.sound=short.wav", "condition.seconds=0.4"], "short.wav has 0.2 s"),
        (["condition.sound=long.wav", "condition.seconds=0.6"], "seconds=0.6 is more than the 0.5"),
        (["condition.sound=short.wav", "condition.seconds=0"], "condition.seconds is 0.0; set"),
        (["condition.sound=short.wav", "condition.gap=[0.3,0.2]"], "beginning before the end"),
        (["condition.sound=short.wav", "condition.gap=[0.3,0.4]"], "behind the end of short.wav"),
        (
            ["condition.sound=half.wav", "condition.gap=[0.2,99]"],
            "behind the 0.5 s of the",
        ),
        (["condition.seconds=1"], "give it: condition.sound=FILE"),
        (["condition.sound=short.wav", "condition.gap=[0,0.1]", "condition.seconds=0.1"], "both"),
        (["out=a.mp3"], "a.mp3"),
        (["modality.seconds=abc"], "modality.seconds"),
        (["modality.second=4"], "modality.second"),
        (["modality.num_mels=64"], "num_mels"),
        (["modality.vocoder=grifin_lim"], "griffin_lim"),
    ],
)
def test_wrong_requests_are_one_line(words, message, refused, tmp_path):
    for name, seconds in (("long", 1.0), ("half", 0.5), ("short", 0.2)):
        write(tmp_path / f"{name}.wav", sound(seconds))
    (tmp_path / "text.wav").write_text("no sound")
    assert message in refused("a low tone", *words)


def test_a_folder_of_sounds_trains_a_checkpoint_that_runs(vae, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "set").mkdir()
    for number, suffix in enumerate((".wav", ".flac", ".ogg")):
        name = tmp_path / "set" / f"{number}{suffix}"
        write(name, sound(0.4 + 0.3 * number, rate=22_050), rate=22_050)
        name.with_suffix(".txt").write_text("a low tone")
    (tmp_path / "set" / "broken.wav").write_bytes((tmp_path / "set" / "0.wav").read_bytes()[:200])
    (tmp_path / "set" / "broken.txt").write_text("a low tone")
    words = ["data=folder", "data.path=set", "data.min_tokens=1", "data.max_tokens=48"]
    words += ["modality.seconds=0.8", "data.max_quarantined=0.5"]
    out = tmp_path / "run"
    where = ["+modality=audio", f"modality.vae={vae}", f"out={out}"]
    fixed = [*where, *tiny_words(), *TRAINING]
    assert main(["train", *fixed, *words]) == 0
    skipped = (out / "quarantine.jsonl").read_text()
    assert "broken.wav" in skipped and skipped.count("\n") == 1
    made = out / "checkpoints" / "step-0000003"
    assert main(["run", *at(made), "out=a.wav", "a low tone"]) == 0
    assert (tmp_path / "a.wav").is_file()


def test_mel_bands_and_rates_of_other_autoencoders_fit(vae):
    other = options(num_mels=64, hop_length=160, mel_range=[-1.0, 1.0], patch=[2, 4])
    modality = AudioModality(other, vae)
    assert modality.vae.latent_shape((RATE,)) == (CHANNELS, 1, 26, 16)
    assert modality.vae.pixels(sound(1.0)).min() == pytest.approx(-11.513, abs=0.001)
    assert replace(other, seconds=2.0).num_samples == 2 * RATE


@pytest.mark.parametrize("length", [1, TOKEN, 3 * TOKEN - 1, 3 * TOKEN])
def test_a_sound_within_the_limits_stays_as_it_is(length, modality):
    assert torch.equal(modality.fit(ramp(length), SizeLimits(1, 12, 4.0)), ramp(length))


@pytest.mark.parametrize("max_tokens", [12, 13, 15])
def test_a_long_sound_is_cut_after_the_last_whole_token_that_fits(max_tokens, modality):
    fitted = modality.fit(ramp(10 * TOKEN + 7), SizeLimits(1, max_tokens, 4.0))
    assert torch.equal(fitted, ramp(3 * TOKEN))
    grid = modality.tokenizer.grid(modality.vae.latent_shape(tuple(fitted.shape)))
    assert grid.num_patches == 12


def test_a_short_sound_is_refused_in_words(modality):
    limits = SizeLimits(9, 100, 4.0)
    with pytest.raises(LuminaError, match=r"too short: 0\.256 s hold 8 tokens, .*min_tokens=9$"):
        modality.fit(ramp(2 * TOKEN), limits)
    assert len(modality.fit(ramp(2 * TOKEN + 1), limits)) == 2 * TOKEN + 1


def test_a_sound_without_samples_is_refused(modality):
    with pytest.raises(LuminaError, match="too short: 0 s hold 0 tokens"):
        modality.fit(ramp(0), SizeLimits(1, 100, 4.0))


def test_a_limit_below_one_row_is_refused(modality):
    with pytest.raises(LuminaError, match="a row of its tokens is 4, more than max_tokens=3"):
        modality.fit(ramp(TOKEN), SizeLimits(1, 3, 4.0))


def test_a_file_is_read_no_further_than_asked(modality, tmp_path):
    path = write(tmp_path / "a.wav", sound(2.0))
    assert torch.equal(modality.read(Path(path), options(seconds=0.5)), sound(0.5))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["init_from=colours"], "autoencoder of 3 colours, the media of audio have 1"),
        (["modality.num_mels=2"], "2 wide, which is not divisible into cells of 4"),
        (["block_channels=[8,8,8,8,8,8]"], "80 wide, which is not divisible into cells of 32"),
    ],
)
def test_an_autoencoder_that_fits_no_spectrogram_is_not_trained(
    words, message, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    build_autoencoder(AutoencoderShape(CHANNELS, (8, 8, 8), 1), seed=0).save_pretrained("colours")
    capsys.readouterr()
    assert main(["train-vae", "+modality=audio", "out=vae", "max_steps=1", *words]) == 2
    printed = capsys.readouterr().err.strip().splitlines()
    assert message in printed[-1] and not (tmp_path / "vae").exists()
