"""The Python API makes what `run` makes, and refuses what `run` refuses."""

import json
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import lumina_core
from lumina_core import LuminaError
from lumina_core.cli.main import main
from lumina_core.flow.solver import time_grid
from lumina_core.sampling import file_request

SMALL = {"height": 32, "width": 32, "num_steps": 2, "device": "cpu"}


@pytest.fixture(scope="module")
def model(tiny_checkpoint):
    return lumina_core.load(tiny_checkpoint, **SMALL)


@pytest.fixture
def refused(model, work):
    """The one line with which a call is refused; nothing is written."""

    def line(*words, call=model.generate, **settings):
        with pytest.raises(LuminaError) as error:
            call(*words, **settings)
        assert "\n" not in str(error.value)
        assert list(work.iterdir()) == []
        return str(error.value)

    return line


def test_a_call_makes_what_the_command_writes(model, make, work):
    items = model.generate("a star", seed=2, num_samples=2)
    files = make("a star", "seed=2", "num_samples=2")["files"]
    assert [item.media_sha256 for item in items] == [file["media_sha256"] for file in files]
    assert [item.seed for item in items] == [2, 3]
    path = items[0].save("x.png")
    assert path.read_bytes() == Path(files[0]["path"]).read_bytes()


def test_prompts_of_a_list_are_made_as_if_alone(model):
    items = model.generate(["a star", "a ring"], num_samples=2, seed=5)
    assert [(item.prompt, item.seed) for item in items] == [
        *(("a star", 5), ("a star", 6)),
        *(("a ring", 5), ("a ring", 6)),
    ]
    (alone,) = model.generate("a ring", seed=6)
    assert alone.media_sha256 == items[3].media_sha256


def test_an_item_shows_itself_as_what_it_is(model):
    (item,) = model.generate("a star", height=40)
    assert sorted(item.array.shape) == [3, 32, 40]
    assert item.image.size == (32, 40)
    shown = Image.open(BytesIO(item._repr_png_()))
    assert (shown.format, shown.size) == ("PNG", (32, 40))
    assert np.array_equal(np.asarray(shown), np.asarray(item.image))
    assert repr(item) == "<image of 'a star', seed 0>"


def test_an_item_is_made_again_by_its_settings_or_its_file(model, work):
    words = {"solver": "dopri5", "rtol": 0.1, "negative_prompt": "a ring", "guidance": 3.0}
    (item,) = model.generate("a star", seed=3, height=40, **words)
    assert item.settings["modality.height"] == 40 and item.settings["guidance.scale"] == 3.0
    (again,) = model.generate(item.prompt, seed=item.seed, **item.settings)
    (repeated,) = model.generate(repeat=item.save("a.png"))
    assert item.media_sha256 == again.media_sha256 == repeated.media_sha256
    (other,) = model.generate("a ring", repeat="a.png")
    assert (other.prompt, other.seed) == ("a ring", 3)
    assert other.media_sha256 != item.media_sha256


def test_save_takes_the_next_free_name(model, work):
    first, second = model.generate("a star", num_samples=2)
    assert str(first.save()) == "outputs/image-0001-s0.png"
    assert str(second.save()) == "outputs/image-0002-s1.png"
    assert file_request.read_request(second.save("here.png"))["prompt"] == "a star"
    with pytest.raises(LuminaError, match=r"here\.png exists already"):
        first.save("here.png")
    first.save("here.png", overwrite=True)


def test_stream_gives_each_item_when_it_is_ready(model):
    steps = []
    stream = model.stream("a star", num_samples=3, on_step=lambda *step: steps.append(step))
    assert steps == []
    next(stream)
    assert steps == [(1, 2), (2, 2)]
    assert [item.seed for item in stream] == [1, 2]
    assert len(steps) == 6


def test_a_refusal_of_stream_does_not_wait_for_the_first_item(refused, model):
    assert "modality.height=33 is not" in refused("a star", height=33, call=model.stream)
    assert "nowhere.png" in refused("a star", image="nowhere.png", call=model.stream)


def test_notes_say_what_the_checkpoint_never_saw(model, work):
    plain, strange = model.generate(["a red circle", "a tesseract"])
    assert plain.notes == ()
    (note,) = strange.notes
    assert note.startswith("the checkpoint never saw anything like 'a tesseract'")


def test_what_is_given_is_kept(model, work):
    Image.new("RGB", (32, 32), "red").save("red.png")
    white = Image.new("L", (32, 32))
    white.paste(255, (0, 0, 16, 32))
    white.save("mask.png")
    (item,) = model.generate("a star", image="red.png", mask=Path("mask.png"))
    assert item.request["condition"]["files"].keys() == {"image", "mask"}
    (begun,) = model.generate("a star", image="red.png", strength=0.5)
    assert begun.request["condition"]["strength"] == 0.5


def test_settings_of_a_model_are_those_of_its_calls(model):
    small = model.with_settings(height=40, guidance=1)
    (item,) = small.generate("a star")
    assert item.image.size == (32, 40) and item.network_evaluations == 2
    (other,) = small.generate("a star", height=48)
    assert other.image.size == (32, 48)
    (first,) = model.generate("a star")  # which the other settings did not touch
    assert first.image.size == (32, 32)
    assert small.checkpoint.backbone is model.checkpoint.backbone
    half = model.with_settings(dtype="bfloat16")
    assert half.checkpoint.backbone is not model.checkpoint.backbone
    assert small.with_settings(solver="heun").generate("a star")[0].network_evaluations == 30
    assert half.generate("a star")[0].request["dtype"] == "bfloat16"
    assert repr(half).endswith("bfloat16 on cpu>")


def test_a_model_is_found_by_folder_training_or_modality(tiny_checkpoint, model, monkeypatch):
    monkeypatch.chdir(tiny_checkpoint.parent.parent.parent)
    training = lumina_core.load("run", device="cpu")  # a relative path, for calls from elsewhere
    monkeypatch.chdir("/")
    assert training.checkpoint.checkpoint_sha256 == model.checkpoint.checkpoint_sha256
    (item,) = training.generate("a star", height=32, width=32, num_steps=1)
    assert item.image.size == (32, 32)
    demo = lumina_core.load("image", device="cpu")
    assert demo.checkpoint.checkpoint_sha256 != model.checkpoint.checkpoint_sha256
    named = lumina_core.load("image", checkpoint=tiny_checkpoint, device="cpu")
    assert named.checkpoint.checkpoint_sha256 == model.checkpoint.checkpoint_sha256


def test_a_velocity_leads_where_the_solver_does(model):
    (item,) = model.generate("a star", seed=4, solver="euler", num_steps=3, shift=2)
    velocity = model.velocity("a star", seed=4)
    times = time_grid(3, 2.0)
    x = velocity.x_0
    for t, t_next in pairwise(times):
        x = x + (t_next - t) * velocity(t, x)
    (media,) = velocity.media(x)
    assert torch.equal(media, item.media)
    assert velocity.num_evaluations == item.network_evaluations
    two = model.velocity(["a star", "a ring"], guidance=1)
    assert len(two.x_0) == 2 * len(velocity.x_0)
    assert [latent.shape for latent in two.latents(two.x_0)] == [(4, 1, 8, 8)] * 2
    x = two.x_0.clone().requires_grad_()
    two(0.5, x).sum().backward()  # a solver of one's own may differentiate
    assert x.grad.shape == x.shape


def test_threads_share_a_model(model):
    def made(prompt):
        (item,) = model.generate(prompt, height=32 + 8 * (len(prompt) % 3))
        return item.media_sha256

    texts = ["a star", "a ring.", "two stars", "a red ring"]
    wanted = [made(text) for text in texts]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(made, texts)) == wanted


@pytest.mark.parametrize(
    ("words", "settings", "said"),
    [
        ((), {}, "prompt is null; give a text or a list of texts"),
        ((), {"repeat": None}, "prompt is null; give a text"),
        (("",), {}, "the prompt is empty"),
        ((["a star", " "],), {}, "the prompt is empty"),
        (("x",), {"heigth": 32}, "unknown key 'heigth'. Did you mean 'height'?"),
        (("x",), {"height": 33}, "modality.height=33 is not a multiple of 8 pixels; use 32 or 40"),
        (("x",), {"height": "tall"}, "modality.height must be a whole number, got 'tall'"),
        (("x",), {"seed": 1.5}, "seed must be a whole number, got 1.5"),
        (("x",), {"num_samples": 0}, "num_samples is 0"),
        (("x",), {"solver": "hoin"}, "solver=hoin is unknown; choose one of"),
        (("x",), {"solver": "dopri5", "num_steps": 4}, "solver.num_steps=4 has no effect"),
        (("x",), {"modality.heigth": 3}, "Did you mean 'modality.height'?"),
        (("x",), {"patch_size": 4}, "modality.patch_size belongs to the architecture"),
        (("x",), {"hidden_size": 4}, "unknown key 'hidden_size'"),
        (("x",), {"dtype": "float8"}, "dtype is 'float8'; choose one of"),
        (("x",), {"device": "tpu"}, "device='tpu' is unknown"),
        (("x",), {"out": "a.png"}, "out is no setting here: an item has .save(path)"),
        (("x",), {"prompt_file": "a"}, "prompt_file is no setting here: give generate a list"),
        (("x",), {"image": "nowhere.png"}, "nowhere.png"),
        (("x",), {"strength": 0.5}, "condition.strength=0.5 changes something that is given"),
        ((), {"repeat": "nowhere.png"}, "nowhere.png is no file"),
    ],
)
def test_a_mistake_of_a_call_is_one_line(refused, words, settings, said):
    assert said in refused(*words, **settings)


@pytest.mark.parametrize(
    ("source", "settings", "said"),
    [
        ("imgae", {}, "'imgae' is neither a folder nor a modality; installed: "),
        ("no/folder", {}, "'no/folder' is neither a folder nor a whole model in the hub's cache"),
        ("../no/folder", {}, "'../no/folder' is no folder and no id of the hub"),
        (".", {}, "lumina.json"),
        (5, {}, "source is 5 (int); give a text or a Path"),
        (None, {}, "source is null; give a text or a Path"),
        ("image", {"modality": "video"}, "image is of image, modality is 'video'"),
        ("image", {"num_stepz": 2}, "Did you mean 'num_steps'?"),
        ("image", {"num_steps": 0}, "solver.num_steps is 0"),
        ("image", {"prompt": "a star"}, "prompt is no setting here: it is the first argument"),
        ("image", {"checkpoint": "nowhere"}, "nowhere"),
    ],
)
def test_a_mistake_of_load_is_one_line(refused, source, settings, said):
    assert said in refused(source, call=lumina_core.load, **settings)


def test_evaluate_gives_what_the_command_prints(model, at_checkpoint, capsys, work):
    words = ["splits=[trained]", "num_prompts=2", "solver.num_steps=2", "json=true"]
    assert main(["evaluate", *at_checkpoint, *words]) == 0
    printed = json.loads(capsys.readouterr().out)
    told = model.with_settings(negative_prompt="not asked for when measuring", seed=0)
    found = lumina_core.evaluate(told, num_prompts=2, splits=["trained"])
    assert json.loads(json.dumps(found.result)) == printed
    assert capsys.readouterr().out == ""
    share = found.splits["trained"]
    assert (share.accuracy, share.num_prompts) == (printed["splits"]["trained"]["accuracy"], 2)
    assert sum(task.num_prompts for task in share.tasks.values()) == 2
    lumina_core.evaluate(told, num_prompts=1, splits="trained", out="report.html")
    assert (work / "report.html").is_file()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"num_promts": 2}, "unknown key 'num_promts'. Did you mean 'num_prompts'?"),
        ({"num_prompts": 0}, "num_prompts is 0"),
        ({"splits": "nope"}, "splits='nope' is unknown; use trained"),
        ({"json": True}, "json is no setting here: an evaluation has .result"),
        ({"compare": "nowhere.json"}, "nowhere.json"),
    ],
)
def test_a_mistake_of_evaluate_is_one_line(refused, model, settings, said):
    assert said in refused(model, call=lumina_core.evaluate, **settings)


def test_train_gives_a_run_whose_model_makes_media(tiny_training, work, capsys):
    words = dict(word.lstrip("+").split("=", 1) for word in tiny_training(Path("mine")))
    run = lumina_core.train(words.pop("modality"), **words)
    assert capsys.readouterr().out == ""
    assert (run.folder, run.step, len(run.losses)) == (work / "mine", 3, 3)
    logged = (work / "mine" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["loss"] for line in logged] == list(run.losses)
    (item,) = run.model(**SMALL).generate("a star")
    assert item.image.size == (32, 32)
    further = lumina_core.train("image", resume=True, out="mine", max_steps=4, num_threads=None)
    assert further.step == 4 and further.losses[:3] == run.losses


@pytest.mark.parametrize(
    ("modality", "settings", "said"),
    [
        ("imgae", {}, "Modality 'imgae' is not installed"),
        ("image", {"depth": 3}, "depth may be backbone.depth or text_encoder.depth; write the"),
        ("image", {"data": "folder", "path": "nowhere"}, "data.path=nowhere is no folder"),
        ("image", {"max_steps": 0}, "max_steps is 0"),
        ("image", {"dtype": "float16", "out": "new"}, "dtype is 'float16'; choose one of"),
    ],
)
def test_a_mistake_of_train_is_one_line(refused, modality, settings, said):
    assert said in refused(modality, call=lumina_core.train, **settings)
