"""What the demo checkpoint must have learned: clips as files, judged as they are read back."""

import json
from pathlib import Path

import pytest
import torch

from lumina_core.cli.main import main
from lumina_video.video_files import VideoDecoder
from lumina_video.world import VideoWorld

PROMPTS = (
    "a red circle moving to the right",
    "a blue square moving up",
    "a yellow star growing",
    "a green ring moving to the left",
    "a triangle turning from white to red",
    "a purple square shrinking on a black background",
)
MIN_RIGHT = 5  # of six: what a sample becomes depends a little on the machine
pytestmark = pytest.mark.demos


@pytest.fixture(autouse=True)
def work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(capsys, *words):
    """Run words in small; the files that were made."""
    small = ("modality.height=32", "modality.width=40", "modality.frames=6", "json=true")
    assert main(["run", "+modality=video", "device=cpu", *small, *words]) == 0
    return json.loads(capsys.readouterr().out)["files"]


def test_easy_prompts_come_out_right(capsys):
    right = 0
    for number, prompt in enumerate(PROMPTS):
        (file,) = run(capsys, prompt, f"out={number}.mp4", "seed=1")
        clip = VideoDecoder(8.0).read(Path(file["path"]))
        right += all(VideoWorld().judge(clip, prompt, None).values())
    assert right >= MIN_RIGHT


def test_a_clip_goes_on_as_it_began(capsys):
    decoder, world, prompt = VideoDecoder(8.0), VideoWorld(), "a red circle moving to the right"
    run(capsys, prompt, "out=whole.webp", "seed=1")
    words = ("condition.frames=whole.webp", "condition.num_frames=3", "out=again.webp", "seed=5")
    run(capsys, prompt, *words)
    whole, again = (decoder.read(Path(f"{name}.webp")) for name in ("whole", "again"))
    assert (whole[:3].float() - again[:3].float()).abs().mean() < 3  # through the autoencoder
    assert not torch.equal(whole[3:], again[3:])
    assert all(world.judge(again, prompt, None).values())
