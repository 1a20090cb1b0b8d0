"""The routes of clips, on a slot that waits for the test: jobs under OpenAI's names."""

import json

import pytest

ASKED = {"prompt": "a red circle", "num_inference_steps": 2}


def begun(client, **more):
    answer = client.post("/v1/videos", json={**ASKED, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(answer, status):
    assert answer.status_code == status, answer.text
    return answer.json()["error"]["message"]


def test_a_clip_is_a_job_with_progress_events_and_content(demos, slot):
    clip = begun(demos, seconds="1", size="48x32", fps=8)
    assert (clip["object"], clip["progress"]) == ("video", 0)
    assert clip["status"] in ("queued", "in_progress")
    assert (clip["seconds"], clip["size"], clip["model"]) == ("1", "48x32", "video")
    assert "has 0 files" in refused(demos.get(f"/v1/videos/{clip['id']}/content"), 409)
    slot.gate.release(4)
    lines = demos.get(f"/v1/videos/{clip['id']}/events").text.split("\n\n")
    events = [json.loads(line.removeprefix("data: ")) for line in lines if line]
    done = demos.get(f"/v1/videos/{clip['id']}").json()
    assert events[-1] == done
    assert (done["status"], done["progress"], done["error"]) == ("completed", 100, None)
    content = demos.get(f"/v1/videos/{clip['id']}/content")
    assert (content.content, content.headers["content-type"]) == (b"x", "video/mp4")
    sheet = demos.get(f"/v1/videos/{clip['id']}/content?variant=spritesheet")
    assert (sheet.content, sheet.headers["content-type"]) == (b"p", "image/png")
    assert "variant is" in refused(
        demos.get(f"/v1/videos/{clip['id']}/content?variant=thumbnail"), 400
    )


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of theirs; these calls will go
def test_the_openai_client_makes_a_clip_as_long_as_it_knows_how(demos, slot, until):
    openai = pytest.importorskip("openai")
    api = openai.OpenAI(
        base_url="http://localhost:8000/v1", api_key="none", http_client=demos, max_retries=0
    )
    clip = api.videos.create(
        prompt="a red circle", seconds="1", size="48x32", extra_body={"num_steps": 2}
    )
    assert (clip.seconds, clip.size) == ("1", "48x32")
    assert clip.status in ("queued", "in_progress")
    slot.gate.release(4)
    until(lambda: api.videos.retrieve(clip.id).status == "completed")
    assert api.videos.download_content(clip.id).read() == b"x"
    assert api.videos.download_content(clip.id, variant="spritesheet").read() == b"p"
    assert [each.id for each in api.videos.list()] == [clip.id]
    assert api.videos.delete(clip.id).deleted
    with pytest.raises(openai.NotFoundError, match="there is no such job"):
        api.videos.retrieve(clip.id)


def test_the_list_holds_the_clips_that_were_begun_there(demos):
    ids = [begun(demos)["id"] for _ in range(3)]
    other = demos.post("/v1/media/video", json=ASKED).json()["id"]
    found = demos.get("/v1/videos").json()
    assert [each["id"] for each in found["data"]] == ids[::-1]
    assert (found["first_id"], found["last_id"], found["has_more"]) == (ids[2], ids[0], False)
    page = demos.get("/v1/videos", params={"order": "asc", "limit": 1, "after": ids[0]}).json()
    assert ([each["id"] for each in page["data"]], page["has_more"]) == ([ids[1]], True)
    for wrong in ("limit=0", "limit=x", "limit=101", "limit=99999", "order=up"):
        refused(demos.get(f"/v1/videos?{wrong}"), 400)
    assert "no such clip" in refused(demos.get(f"/v1/videos/{other}"), 404)


def test_the_list_bears_that_clips_go_meanwhile(demos):
    first, second = (begun(demos)["id"] for _ in range(2))
    jobs = demos.app.state.line.jobs

    class Going(str):
        def startswith(self, prefix):
            jobs.pop(second, None)
            return super().startswith(prefix)

    jobs[first].id = Going(first)
    assert first in [each["id"] for each in demos.get("/v1/videos").json()["data"]]


def test_a_deleted_clip_is_cancelled_and_gone(demos, slot, until):
    clip = begun(demos)
    until(lambda: slot.tasks)
    gone = demos.delete(f"/v1/videos/{clip['id']}").json()
    assert gone == {"id": clip["id"], "object": "video.deleted", "deleted": True}
    refused(demos.get(f"/v1/videos/{clip['id']}"), 404)
    slot.gate.release()
    until(lambda: not list(demos.app.state.line.folder.iterdir()))


def test_a_cancelled_clip_has_failed_as_openai_has_it(demos, slot, until):
    begun(demos)
    clip = begun(demos)
    demos.delete(f"/v1/media/jobs/{clip['id']}")
    found = demos.get(f"/v1/videos/{clip['id']}").json()
    assert (found["status"], found["error"]["code"]) == ("failed", "cancelled")


def test_a_form_may_give_the_first_frame(demos, slot, until):
    from PIL import Image

    frame = Image.new("RGB", (32, 32), "red")
    path = demos.app.state.line.folder / "x.png"
    frame.save(path)
    files = {"input_reference": ("first.png", path.read_bytes())}
    data = {"prompt": "a red circle", "num_frames": "8", "size": "32x32"}
    clip = demos.post("/v1/videos", data=data, files=files)
    assert clip.status_code == 200, clip.text
    until(lambda: slot.tasks)
    (task,) = slot.tasks
    assert task.config.condition.wanted.frames == str(task.folder / "given-0.png")
    assert task.config.options.frames == 8


def test_a_sound_comes_back_as_bytes_and_leaves_nothing(demos, slot):
    slot.gate.release(4)
    body = {"input": "two beeps", "audio_length": 0.5, "response_format": "flac"}
    answer = demos.post("/v1/audio/generate", json=body)
    assert (answer.content, answer.headers["content-type"]) == (b"x", "audio/flac")
    (task,) = slot.tasks
    assert (task.config.prompt, task.config.options.seconds) == ("two beeps", 0.5)
    assert not list(demos.app.state.line.folder.iterdir())


@pytest.mark.parametrize(
    ("address", "body", "said"),
    [
        ("/v1/audio/generate", {"input": "x", "prompt": "y"}, "prompt is given twice"),
        ("/v1/audio/generate", {"input": "x", "n": 2}, "n is 1 here"),
        ("/v1/audio/generate", {"input": "x", "audio_length": 4000}, "modality.seconds"),
        ("/v1/audio/generate", {"input": "x", "model": "image"}, "makes image, not audio"),
        ("/v1/videos", {"prompt": "x", "model": "audio"}, "makes audio, not video"),
        ("/v1/videos", {"prompt": "x", "input_reference": "/etc/passwd"}, "frames takes"),
        ("/v1/media/image", {"prompt": "x", "model": "video"}, "makes video, not image"),
    ],
    ids=str,
)
def test_what_these_routes_do_not_take_is_refused(demos, address, body, said):
    message = refused(demos.post(address, json=body), 400)
    assert said in message and "/etc" not in message
