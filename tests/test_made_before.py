"""What version 0.1.0 with plugin API 2.1 and 2.2 made is still opened, or refused with what to do.

The files below made_before/ are never made again: a change that cannot open one of them any more
changes the test of it to the sentence that a user then gets.
"""

import json
import shutil
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from lumina_core.cli.main import main
from lumina_core.plugins import host

MADE = Path(__file__).parent / "made_before"
TRAINING = MADE / "training"
CHECKPOINT = TRAINING / "checkpoints" / "step-0000003"
MEDIA = {
    "image.png": ("image", "a red circle above a blue square"),
    "video.mp4": ("video", "a red circle moves right"),
    "multiview.png": ("multiview", "a cube red in front and green behind"),
    "audio.wav": ("audio", "two high beeps"),
}
TRAINED_WITH = (
    "+modality=image backbone.hidden_size=16 backbone.depth=1 backbone.num_heads=1 "
    "backbone.conditioning_size=8 backbone.rope_dims=[0,4,4,4,4] text_encoder.hidden_size=16 "
    "text_encoder.depth=1 text_encoder.num_heads=1 optimizer.warmup_steps=0 token_budget=300 "
    "data.pool_size=2 data.pool_start=2 data.refresh_per_step=1 sample_every=0 save_every=0 "
    "log_every=1 device=cpu num_threads=1 seed=1"
)


@pytest.fixture
def request_in(capsys):
    """The request inside a file, as `info` shows it."""

    def request(path):
        capsys.readouterr()
        assert main(["info", str(path), "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    return request


@pytest.mark.parametrize("name", MEDIA)
def test_info_reads_the_request_inside_a_file(request_in, name):
    found = request_in(MADE / "media" / name)
    assert (found["modality"], found["prompt"]) == MEDIA[name]
    assert (found["seed"], found["solver"]["num_steps"]) == (7, 2)


@pytest.mark.parametrize("name", MEDIA)
def test_repeat_makes_a_file_of_the_same_request(request_in, work, name):
    made = MADE / "media" / name
    assert main(["run", f"repeat={made}", f"out={name}", "device=cpu"]) == 0
    before, after = request_in(made), request_in(name)
    for key in ("modality", "prompt", "seed", "options", "solver", "guidance"):
        assert after[key] == before[key]


def test_run_takes_the_checkpoint(request_in, work):
    size = ["modality.height=32", "modality.width=32", "solver.num_steps=1"]
    words = ["infer", "a red circle", f"checkpoint={CHECKPOINT}", "out=new.png", "device=cpu"]
    assert main([*words, *size]) == 0
    assert request_in("new.png")["modality"] == "image"


def test_a_training_goes_on(losses, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(TRAINING, out)
    words = [f"out={out}", f"modality.vae={CHECKPOINT / 'vae' / 'image'}", "resume=true"]
    assert main(["train", *TRAINED_WITH.split(), *words, "max_steps=4"]) == 0
    before, after = losses(TRAINING), losses(out)
    assert after.keys() - before.keys() == {4}
    assert {step: after[step] for step in before} == before


def test_a_plugin_of_api_2_1_is_told_what_to_change(refusal, tmp_path, monkeypatch):
    with ZipFile(MADE / "lumina_waves-0.1.0-py3-none-any.whl") as wheel:
        wheel.extractall(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    host.forget()
    line = refusal("run", "+modality=waves", "a rising wave")
    assert line == (
        "error: Modality 'waves' (lumina-waves 0.1.0) is incompatible: it was written for another "
        "plugin API than 3.0 (ModalitySpec.__init__() got an unexpected keyword argument "
        "'summary'). Upgrade lumina-waves, or change what docs/authors/plugin_api.md lists for "
        "3.0.\n"
    )
    host.forget()
    for name in [each for each in sys.modules if each.partition(".")[0] == "lumina_waves"]:
        del sys.modules[name]
