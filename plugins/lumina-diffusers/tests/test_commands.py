"""What `run` and `serve` do with any model, on tiny folders of each family."""

from types import SimpleNamespace

import pytest
import tiny_ltx
from starlette.testclient import TestClient
from test_wan22 import LARGE, SIZE, SMALL, pipeline_of

import tiny_wan
from lumina_core.cli.main import main
from lumina_core.sampling.compose import compose_run
from lumina_core.server.app import build_app
from lumina_core.server.settings import ServeConfig
from tiny_wan import PROMPT, sized

MADE = {
    "wan": (tiny_wan.pipeline, (tiny_wan.HEIGHT, tiny_wan.WIDTH, tiny_wan.FRAMES), 16),
    "ltx": (tiny_ltx.pipeline, (tiny_ltx.HEIGHT, tiny_ltx.WIDTH, tiny_ltx.FRAMES), tiny_ltx.FPS),
    "wan22_5b": (lambda: pipeline_of(SMALL), SIZE[SMALL], 16),
    "wan22_14b": (lambda: pipeline_of(LARGE), SIZE[LARGE], 16),
}
MAX_ASKED = 600  # times that a job is asked for


@pytest.fixture(scope="module", params=MADE)
def made(request, tmp_path_factory):
    """A folder, and a clip that `run` made with it."""
    make, size, fps = MADE[request.param]
    place = tmp_path_factory.mktemp("models")
    make().save_pretrained(place / request.param)
    of = SimpleNamespace(folder=place / request.param, clip=place / "a.mp4", size=size, fps=fps)
    run(of, PROMPT, f"out={of.clip}")
    return of


def run(of, *others):
    own = ["+modality=video", f"checkpoint={of.folder}", *sized(*of.size), f"modality.fps={of.fps}"]
    assert main(["run", *own, "solver.num_steps=2", "device=cpu", *others]) == 0


def test_a_file_is_repeated_to_the_byte(made, tmp_path):
    again = ["run", f"repeat={made.clip}", f"checkpoint={made.folder}", "device=cpu"]
    assert main([*again, f"out={tmp_path / 'b.mp4'}"]) == 0
    assert made.clip.read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_a_file_of_prompts_makes_a_clip_for_each(made, tmp_path):
    (tmp_path / "prompts.txt").write_text("a red fox\nthe sun sets slowly\n")
    run(made, f"prompt_file={tmp_path / 'prompts.txt'}", f"out={tmp_path / 'many'}")
    clips = sorted((tmp_path / "many").glob("*.mp4"))
    assert len(clips) == 2
    assert clips[0].read_bytes() != clips[1].read_bytes()


def test_first_frames_can_be_given(made, tmp_path):
    given = [f"condition.frames={made.clip}", "condition.num_frames=1"]
    run(made, "the sun sets", *given, f"out={tmp_path / 'b.mp4'}")
    run(made, "the sun sets", f"out={tmp_path / 'c.mp4'}")
    assert (tmp_path / "b.mp4").read_bytes() != (tmp_path / "c.mp4").read_bytes()
    again = [f"repeat={tmp_path / 'b.mp4'}", f"checkpoint={made.folder}"]
    assert compose_run([*again, given[0]]).condition.wanted.num_frames == 1


def test_the_server_makes_a_clip(made):
    app = build_app(ServeConfig(checkpoint=(str(made.folder),)))
    height, width, frames = made.size
    with TestClient(app, base_url="http://localhost:8000") as client:
        body = {"prompt": PROMPT, "size": f"{width}x{height}", "num_frames": frames}
        asked = {**body, "fps": made.fps, "num_inference_steps": 2}
        answer = client.post("/v1/videos", json=asked)
        assert answer.status_code == 200, answer.text
        job = answer.json()
        for _ in range(MAX_ASKED):
            job = client.get(f"/v1/videos/{job['id']}").json()
            if job["status"] in ("completed", "failed"):
                break
        assert job["status"] == "completed", job
        content = client.get(f"/v1/videos/{job['id']}/content").content
    assert content[4:8] == b"ftyp"
