import hashlib
import json
import os
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest
import torch
from PIL import Image

import lumina_core
from lumina_core import LuminaError
from lumina_core.checkpoints import model as checkpoint
from lumina_core.cli.main import main
from lumina_core.files import writing
from lumina_core.media import previews as contact_sheet
from lumina_core.sampling import file_request, run, sample
from lumina_core.sampling import generate as sampling_generate
from lumina_core.sampling import request as sampling_request
from lumina_core.sampling.compose import compose_run
from lumina_core.sampling.request import media_sha256

PROMPTS = [
    "circle",
    "a red circle " * 154,  # 2,002 characters
    'it\'s a "quoted", {braced} [listed] ${x} circle; a=b',
    "e=mc2",
    "雪だるま ☃ müller",
    " - two\nlines\t",
]


@pytest.fixture
def generate(ask, tiny_checkpoint):
    settings = dict(word.split("=") for word in ask()[2:]) | {"checkpoint": tiny_checkpoint}

    def media(prompt="a star", **more):
        return lumina_core.generate(prompt, modality="image", **settings, **more)

    return media


@pytest.mark.parametrize("prompt", PROMPTS)
def test_any_prompt_makes_a_file_that_holds_it(make, ask, work, capsys, prompt):
    (file,) = make("--", prompt)["files"]
    assert file["prompt"] == prompt
    assert file_request.read_request(Path(file["path"]))["prompt"] == prompt
    assert main(["info", file["path"], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["prompt"] == prompt


def test_json_says_what_was_written(make, work):
    result = make("a red circle", "num_samples=2", "seed=5", "guidance.scale=2")
    assert result.keys() == {"files", "network_evaluations", "seconds"}
    assert result["network_evaluations"] == 2 * 2  # of one sample: two steps, each guided
    for number, file in enumerate(result["files"]):
        keys = ["path", "sha256", "media_sha256", "modality", "prompt", "seed"]
        assert list(file) == keys
        assert (file["modality"], file["prompt"], file["seed"]) == (
            "image",
            "a red circle",
            5 + number,
        )
        assert file["sha256"] == hashlib.sha256(Path(file["path"]).read_bytes()).hexdigest()
        picture = torch.from_numpy(np.asarray(Image.open(file["path"])).copy())
        assert media_sha256(picture.permute(2, 0, 1)) == file["media_sha256"]
    assert [file["path"] for file in result["files"]] == [
        "outputs/image-0001-s5.png",
        "outputs/image-0002-s6.png",
    ]
    assert (work / "outputs" / "image-0001-s5-sheet.png").is_file()


def test_a_contact_sheet_shows_the_first_samples(make, work, monkeypatch):
    shown = []
    monkeypatch.setattr(contact_sheet, "save_contact_sheet", lambda *words: shown.append(words))
    monkeypatch.setattr(run, "NUM_PREVIEWS", 2)
    make("a red circle", "num_samples=3", "seed=4")
    ((path, previews, labels),) = shown
    assert (path.name, len(previews)) == ("image-0001-s4-sheet.png", 2)
    assert labels == ["seed 4", "seed 5"]


def test_output_is_the_paths_and_nothing_else(ask, work, capfd):
    assert main(ask("a red circle", "num_samples=2")) == 0
    captured = capfd.readouterr()
    assert captured.out == "outputs/image-0001-s0.png\noutputs/image-0002-s1.png\n"
    assert captured.err == "contact sheet: outputs/image-0001-s0-sheet.png\n"


def test_unknown_words_are_named_in_one_line(ask, work, capfd):
    assert main(ask("a red tesseract, e=mc2")) == 0
    err = capfd.readouterr().err
    assert err == (
        "note: the checkpoint never saw anything like 'a red tesseract, e=mc2' "
        "(new to it: 'tesseract', 'e', 'mc2'); the nearest that it knows: 'a red circle'\n"
    )


def test_the_same_request_gives_the_same_bytes(make, work):
    first, second = (make("a star", f"out={name}.png")["files"][0] for name in "ab")
    assert first["sha256"] == second["sha256"]
    assert make("a star", "seed=1")["files"][0]["media_sha256"] != first["media_sha256"]


def test_sample_i_is_seed_plus_i_alone(make, work):
    several = make("a star", "num_samples=4", "seed=7")["files"]
    alone = make("a star", "seed=9")["files"][0]
    assert several[2]["sha256"] == alone["sha256"]
    assert len({file["media_sha256"] for file in several}) == 4


def test_repeat_makes_the_same_media(make, work, capsys, tiny_checkpoint):
    words = ["guidance.scale=2", "guidance.interval=[0.1,0.9]", "negative_prompt=a star, e=mc2"]
    original = make("two {braces}, ☃", "seed=3", *words)["files"][0]
    again = ["run", f"repeat={original['path']}", f"checkpoint={tiny_checkpoint}", "json=true"]
    assert main(again) == 0
    repeated = json.loads(capsys.readouterr().out)["files"][0]
    assert repeated["sha256"] == original["sha256"]
    assert repeated["path"] != original["path"]
    assert main([*again, "seed=4"]) == 0
    assert (
        json.loads(capsys.readouterr().out)["files"][0]["media_sha256"] != original["media_sha256"]
    )


def test_repeat_says_what_may_change_the_last_bits(
    make, work, capsys, tiny_checkpoint, monkeypatch
):
    path = make("a star", "seed=3")["files"][0]["path"]
    again = ["run", f"repeat={path}", f"checkpoint={tiny_checkpoint}"]
    capsys.readouterr()
    assert main(again) == 0
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sampling_request, "arithmetic", lambda device: "CPU, DEFAULT, threads: 64")
    assert main(again) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"note: {path} was made with arithmetic CPU, ")
    assert line.endswith("here it is CPU, DEFAULT, threads: 64: the result may differ a little")


def test_a_file_holds_its_request_without_date_or_path(make, work, tiny_checkpoint):
    path = Path(make("a star")["files"][0]["path"])
    request = file_request.read_request(path)
    assert request.keys() == {
        *("modality", "prompt", "negative_prompt", "seed", "options", "solver", "guidance"),
        *("rope_scaling", "longest_side", "position_limit", "proportional_attention", "coarse"),
        *("condition", "dtype", "checkpoint_sha256", "versions", "media_sha256"),
    }
    assert request["options"] == {"height": 32, "width": 32}
    assert request["versions"].keys() == {"lumina-core", "torch", "lumina-image", "arithmetic"}
    manifest = (tiny_checkpoint / "lumina.json").read_bytes()
    assert request["checkpoint_sha256"] == hashlib.sha256(manifest).hexdigest()
    assert "/" not in json.dumps(request)


def test_generate_gives_what_the_command_line_writes(generate, make, work):
    item, second = generate("a star", seed=2, num_samples=2)
    assert item.media.shape == (3, 32, 32)
    writing = make("a star", "seed=2", "num_samples=2")["files"]
    assert [f["media_sha256"] for f in writing] == [item.media_sha256, second.media_sha256]
    path = item.save(work / "x.png")
    assert path.read_bytes() == Path(writing[0]["path"]).read_bytes()
    with pytest.raises(LuminaError, match="exists already"):
        second.save(path)
    second.save(path, overwrite=True)
    assert path.read_bytes() == Path(writing[1]["path"]).read_bytes()


def test_threads_each_get_their_own_result(generate):
    requests = [(f"{number} star", number) for number in ("one", "two", "three", "four")]
    wanted = [generate(prompt, seed=len(name))[0].media for prompt, name in requests]
    sampling_generate._KEPT.clear()  # reading the checkpoint at once is part of it
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda pair: generate(pair[0], seed=len(pair[1]))[0].media, requests))
    for one, other in zip(wanted, found, strict=True):
        assert torch.equal(one, other)


def test_threads_that_share_a_model_keep_texts_in_their_own_folders(ask, tmp_path):
    """What a request keeps its texts in is told to each call, and never to the model."""
    sampling_generate._KEPT.clear()
    folders, once = [tmp_path / str(number) for number in range(3)], "guidance.scale=1"
    configs = [
        compose_run(ask(f"prompt={folder.name} stars", f"text_cache={folder}", once)[1:])
        for folder in folders
    ]
    barrier = Barrier(len(configs))

    def made(config):
        model = sampling_generate.load_model(config)
        barrier.wait()  # every thread has asked for the model before one of them uses it
        list(
            sampling_generate.generate_batches(
                model, [sampling_generate.requests_of(config, None)], config
            )
        )
        return model

    with ThreadPoolExecutor(len(configs)) as pool:
        models = list(pool.map(made, configs))
    assert len({id(model.backbone) for model in models}) == 1
    assert [len(list(folder.rglob("*.safetensors"))) for folder in folders] == [1, 1, 1]
    plain = compose_run(ask("prompt=0 stars", once)[1:])
    list(sampling_generate.generate_each(sampling_generate.load_model(plain), [plain]))
    assert len(list(tmp_path.rglob("*.safetensors"))) == 3  # none is kept unasked
    # what is in memory already is kept, too, where a call asks for it
    late = compose_run(ask("prompt=0 stars", f"text_cache={tmp_path / 'late'}", once)[1:])
    list(sampling_generate.generate_each(sampling_generate.load_model(late), [late]))
    assert len(list((tmp_path / "late").rglob("*.safetensors"))) == 1


def test_the_model_before_leaves_memory_before_the_next_one_comes(ask, monkeypatch):
    sampling_generate._KEPT.clear()
    read, alive = checkpoint.opened, []

    def opened(*given, **named):
        gone = [one() for one in alive]
        assert gone == [None] * len(alive)
        model = read(*given, **named)
        alive.append(weakref.ref(model.backbone))
        return model

    monkeypatch.setattr(checkpoint, "opened", opened)
    for dtype in ("float32", "bfloat16", "float16", "float32"):
        config = compose_run(ask("prompt=x", f"dtype={dtype}")[1:])
        assert (
            sampling_generate.load_model(config).backbone
            is sampling_generate.load_model(config).backbone
        )
    assert len(alive) == 4
    held = sampling_generate.load_model(config)
    with ThreadPoolExecutor(4) as pool:  # one that is in use stays, and is read once for all
        found = list(pool.map(lambda _: sampling_generate.load_model(config), range(8)))
    assert {id(model.backbone) for model in found} == {id(held.backbone)}
    assert len(alive) == 4


def test_a_relative_checkpoint_outlives_its_working_folder(
    ask, tiny_checkpoint, tmp_path, monkeypatch
):
    monkeypatch.chdir(tiny_checkpoint.parent)
    sampling_generate._KEPT.clear()
    config = compose_run(ask("prompt=x", f"checkpoint={tiny_checkpoint.name}")[1:])
    samples = sampling_generate.generate_each(sampling_generate.load_model(config), [config])
    monkeypatch.setattr(
        sampling_generate,
        "sample_batch",
        lambda *a, **k: (os.chdir(tmp_path), original(*a, **k))[1],
    )
    original = sample.sample_batch
    assert next(samples).media.shape == (3, 32, 32)


def test_cancelling_writes_nothing(ask, work, monkeypatch, capsys):
    class CancelledError(Exception):
        pass

    def cancel(step, total):
        raise CancelledError

    config = compose_run(ask("prompt=x")[1:])
    with pytest.raises(CancelledError):
        list(
            sampling_generate.generate_each(sampling_generate.load_model(config), [config], cancel)
        )
    assert os.listdir(work) == []

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    decoder = type(sampling_generate.load_model(config).modality.decoder.part)
    for owner, name in (
        (sampling_generate, "sample_batch"),
        (writing, "publish"),
        (decoder, "write"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, interrupt)
            assert main(ask("x")) == 130
        assert [path for path in work.rglob("*") if path.is_file()] == []
        assert list(work.rglob(".*")) == []


def test_default_names_count_up_and_never_replace(make, work):
    outputs = work / "outputs"
    outputs.mkdir()
    for name in ("image-0007-s0.png", "image-x-s9.png", "video-0099-s0.mp4"):
        (outputs / name).write_text("mine")
    assert make("x")["files"][0]["path"] == "outputs/image-0008-s0.png"
    assert make("x", "seed=4")["files"][0]["path"] == "outputs/image-0009-s4.png"
    assert (outputs / "image-0007-s0.png").read_text() == "mine"


def test_two_runs_at_once_never_share_a_name(make, work, monkeypatch):
    publish = writing.publish

    def another_was_faster(temporary, path, *, overwrite):
        if not list(path.parent.glob("*.png")):
            path.write_text("theirs")
        publish(temporary, path, overwrite=overwrite)

    monkeypatch.setattr(writing, "publish", another_was_faster)
    assert make("x")["files"][0]["path"] == "outputs/image-0002-s0.png"
    assert (work / "outputs" / "image-0001-s0.png").read_text() == "theirs"


@pytest.mark.parametrize(
    ("out", "count", "found"),
    [
        ("a.png", 1, ["a.png"]),
        ("new/deep/a.png", 1, ["new/deep/a.png"]),
        ("a.png", 2, ["a-s0-sheet.png", "a-s0.png", "a-s1.png"]),
        ("folder", 1, ["folder/image-0001-s0.png"]),
        ("v1.5/", 1, ["v1.5/image-0001-s0.png"]),
        ("there.d", 1, ["there.d/image-0001-s0.png"]),
        ("a b=c, {d}", 1, ["a b=c, {d}/image-0001-s0.png"]),
    ],
)
def test_out_is_a_file_or_a_folder(make, work, out, count, found):
    (work / "there.d").mkdir()
    make("x", f"out={out}", f"num_samples={count}")
    writing = [str(path.relative_to(work)) for path in work.rglob("*") if path.is_file()]
    assert sorted(writing) == found


def test_an_existing_file_is_replaced_only_when_told(make, clean_refusal, ask, work):
    (work / "a.png").write_text("mine")
    (work / "b-s1.png").write_text("mine")
    (work / "c-s0-sheet.png").write_text("mine")
    assert "exists already" in clean_refusal(*ask("x", "out=a.png"))
    for name in "bc":
        assert "exists already" in clean_refusal(*ask("x", f"out={name}.png", "num_samples=2"))
    make("x", "out=a.png", "overwrite=true")
    assert Image.open("a.png").size == (32, 32)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["x", "modality.height=33"],
            "modality.height=33 is not a multiple of 8 pixels; use 32 or 40",
        ),
        (["x", "modality.width=3"], "use 8"),
        (["x", "modality.height=0"], "modality.height is 0"),
        (["x", "modality.height=-8"], "modality.height is -8"),
        (["x", "solver.num_steps=0"], "solver.num_steps is 0"),
        (["x", "solver.num_steps=-1"], "solver.num_steps is -1"),
        (["x", "solver.num_stepz=3"], "Did you mean 'solver.num_steps'?"),
        (["x", "modality.height=tall"], "modality.height must be a whole number"),
        (["x", "y"], "2 prompts"),
        ([""], "the prompt is empty"),
        ([], "no prompt"),
        (["x", "num_samples=0"], "num_samples is 0"),
        (["x", "checkpoint=nowhere"], "nowhere"),
        (["x", "out=a.gif"], "use .png or .webp or .jpg or .jpeg, or a folder"),
        (["x", "out=file/a.png"], "which is a file"),
        (["x", "out=file/deeper/folder"], "which is a file"),
        (["x", "out=file"], "which is a file"),
        (["x", f"out={'n' * 300}.png"], "no usable path"),
        (["x", "device=tpu"], "device='tpu' is unknown"),
        (["x", "dtype=float8"], "dtype is 'float8'; choose one of"),
        (["a star", "guidance.channels=9"], "guidance.channels=9"),
        (["repeat=file"], "carries no request"),
        (["repeat=nowhere.png"], "nowhere.png is no file; give one that `run` made"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(clean_refusal, ask, work, words, message):
    (work / "file").write_text("mine")
    assert message in clean_refusal(*ask(*words))


def test_a_wrong_modality_is_one_line(clean_refusal, work):
    assert "image" in clean_refusal("run", "+modality=imgae", "x")
    assert "no modality chosen" in clean_refusal("run", "x")


def test_a_bad_size_is_refused_before_the_text_is_read(clean_refusal, ask, work, monkeypatch):
    monkeypatch.setattr("lumina_core.text.frozen.FrozenTextEncoder.encode", None)
    monkeypatch.setattr("lumina_core.text.encoder.TextReader.unknown_words", None)
    assert "use 32 or 40" in clean_refusal(*ask("x", "modality.height=33", "out=new/a.png"))


def test_a_damaged_checkpoint_is_one_line(clean_refusal, ask, checkpoint_copy):
    words = ask("x", f"checkpoint={checkpoint_copy}")
    path = checkpoint_copy / "text_encoder" / "model.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
    assert "is damaged" in clean_refusal(*words)
    path.unlink()
    assert "is missing" in clean_refusal(*words)


@pytest.mark.parametrize(
    ("command", "key"),
    [
        *(("run", key) for key in ("checkpoint", "repeat", "prompt_file", "condition.image")),
        *(("run", key) for key in ("condition.mask", "out")),
        *(("train", key) for key in ("out", "modality.vae", "init_from", "text_encoder.path")),
        *(("train", key) for key in ("data.path", "text_encoder.cache")),
        *(("evaluate", key) for key in ("compare", "out", "checkpoint")),
        *(("train-vae", key) for key in ("out", "init_from")),
        *(("cache", key) for key in ("out", "data.path")),
    ],
)
def test_a_name_that_is_too_long_is_one_line(clean_refusal, command, key):
    name = "x" * 300
    words = [command, "+modality=image", f"{key}={name}", *["a red circle"] * (command == "run")]
    words = [word for word in words if key not in ("prompt_file", "repeat") or " " not in word]
    words += {
        "condition.mask": ["condition.image=x.png"],
        "data.path": ["data=folder"],
        "out": ["num_samples=1"] * (command == "cache"),
        "text_encoder.path": ["text_encoder=t5"],
        "text_encoder.cache": ["text_encoder=t5", "text_encoder.path=."],
    }.get(key, [])
    clean_refusal(*words)


def test_a_foreign_file_is_never_repeated(work, clean_refusal, ask):
    Image.new("RGB", (8, 8)).save("plain.png")
    Path("broken.png").write_bytes(b"\x89PNG broken")
    assert "carries no request" in clean_refusal("run", "repeat=plain.png")
    assert "broken.png" in clean_refusal("run", "repeat=broken.png")
