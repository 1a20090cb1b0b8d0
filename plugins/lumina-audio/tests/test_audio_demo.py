"""What the demo checkpoint must have learned: sounds as files, judged as they are read back."""

import json
from pathlib import Path

import pytest

from lumina_audio.audio_files import AudioDecoder
from lumina_audio.options import AudioOptions
from lumina_audio.world import AudioWorld
from lumina_core.cli.main import main

RATE = 16_000
PROMPTS = (
    "a high tone",
    "a low chord",
    "a rising sweep",
    "three short high beeps",
    "a long noise burst",
    "two short high beeps, then a falling sweep",
)
MIN_RIGHT = 5  # of six: what a sample becomes depends a little on the machine
pytestmark = pytest.mark.demos


@pytest.fixture(autouse=True)
def work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(capsys, *words):
    """The file that was made."""
    assert main(["run", "+modality=audio", "device=cpu", "json=true", *words]) == 0
    (file,) = json.loads(capsys.readouterr().out)["files"]
    return AudioDecoder(RATE).read(Path(file["path"]))


def test_easy_prompts_come_out_right(capsys):
    right = 0
    for number, prompt in enumerate(PROMPTS):
        sound = run(capsys, prompt, f"out={number}.wav", "seed=1", "modality.seconds=2.5")
        assert len(sound) == round(2.5 * RATE)
        right += all(AudioWorld().judge(sound, prompt, AudioOptions()).values())
    assert right >= MIN_RIGHT
