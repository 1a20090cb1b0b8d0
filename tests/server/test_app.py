"""The API over HTTP on a tiny checkpoint: what it makes, and what it says where it refuses."""

import base64
import io
import json

import pytest
from PIL import Image

import lumina_core
from lumina_core.records import MAX_TEXT
from lumina_core.server.app import PAGE, build_app
from lumina_core.server.settings import ServeConfig

SMALL = {"prompt": "a star", "height": 32, "width": 32, "num_steps": 2}


def finished(client, job):
    """The job at its end, by its stream of events."""
    lines = client.get(f"/v1/media/jobs/{job['id']}/events").text.split("\n\n")
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]


def refusal(answer, status):
    """The error of an answer, which has the shape of OpenAI's."""
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error


def test_models_are_named_by_their_folder(client, tiny_checkpoint):
    (model,) = client.get("/v1/models").json()["data"]
    assert (model["id"], model["owned_by"]) == (tiny_checkpoint.name, "image")
    assert client.get(f"/v1/models/{model['id']}").json() == model
    assert refusal(client.get("/v1/models/other"), 404)["code"] == "model_not_found"


def test_media_lists_what_a_request_may_say(client, tiny_checkpoint):
    (image,) = client.get("/v1/media").json()["data"]
    assert (image["modality"], image["models"]) == ("image", [tiny_checkpoint.name])
    settings = {setting["key"]: setting for setting in image["settings"]}
    assert settings["modality.height"]["unit"] == "pixels"
    assert "heun" in settings["solver"]["choices"]
    assert "dopri5" not in settings["solver"]["choices"]
    assert [each["key"] for each in image["conditions"]] == ["image", "mask"]
    assert image["examples"] and ".png" in image["formats"]


def test_a_job_makes_what_run_makes(client, tiny_checkpoint):
    answer = client.post("/v1/media/image", json={**SMALL, "seed": 5, "num_samples": 2})
    assert answer.status_code == 202
    events = finished(client, answer.json())
    done = events[-1]
    assert (done["status"], done["progress"]) == ("completed", 100)
    assert [each["progress"] for each in events] == sorted(each["progress"] for each in events)
    model = lumina_core.load(tiny_checkpoint, height=32, width=32, num_steps=2)
    made = model.generate("a star", seed=5, num_samples=2)
    assert [each["media_sha256"] for each in done["files"]] == [m.media_sha256 for m in made]
    assert [each["seed"] for each in done["files"]] == [5, 6]
    file = client.get(done["files"][1]["url"])
    assert file.headers["content-type"] == done["files"][1]["content_type"] == "image/png"
    picture = client.get(done["files"][1]["url"] + "?as=png")
    assert Image.open(io.BytesIO(picture.content)).size == (32, 32)
    again = client.post("/v1/media/image", json={"prompt": "a star", **done["settings"]}).json()
    assert finished(client, again)[-1]["files"][0] | {"url": ""} == done["files"][0] | {"url": ""}
    client.delete(f"/v1/media/jobs/{done['id']}")
    assert client.get(done["files"][0]["url"]).status_code == 404


def test_the_openai_client_lists_models_and_makes_pictures(client, tiny_checkpoint):
    openai = pytest.importorskip("openai")
    api = openai.OpenAI(
        base_url="http://localhost:8000/v1", api_key="none", http_client=client, max_retries=0
    )
    assert [model.id for model in api.models.list()] == [tiny_checkpoint.name]
    answer = api.images.generate(
        model=tiny_checkpoint.name,
        prompt="a star",
        n=2,
        size="32x32",  # type: ignore[arg-type]
        output_format="jpeg",
        extra_body={"num_inference_steps": 2, "seed": 1},
    )
    kinds = [Image.open(io.BytesIO(base64.b64decode(each.b64_json))).format for each in answer.data]
    assert kinds == ["JPEG", "JPEG"]
    with pytest.raises(openai.NotFoundError, match="there is no model 'dall-e"):
        api.images.generate(model="dall-e-3", prompt="a star")
    with pytest.raises(openai.BadRequestError, match="unknown key 'checkpoint'"):
        api.images.generate(prompt="a star", extra_body={"checkpoint": "/etc"})


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"checkpoint": "/etc"}, "unknown key 'checkpoint'"),
        ({"solver.num_steps": 3}, "solver.num_steps is given twice"),
        ({"size": "32x32"}, "width is given twice"),
        ({"condition.image": "/etc/passwd"}, "unknown key 'condition.image'"),
        ({"modality.vae": "a/b"}, "unknown key 'modality.vae'"),
        ({"text_cache": "cache"}, "unknown key"),
        ({"device": "cuda"}, "unknown key"),
        ({"download": True}, "unknown key"),
        ({"out": "x.png"}, "unknown key"),
        ({"config": "x"}, "unknown key"),
        ({"height": "${oc.env:HOME}"}, "height takes int"),
        ({"height": [1] * 100}, "height takes int"),
        ({"height": {"a": 1}}, "height takes int"),
        ({"height": 10**400}, "modality.height"),
        ({"solver": "../x"}, "solver takes str of"),
        ({"solver": "dopri5", "num_steps": None}, "cannot be cancelled"),
        ({"num_steps": 9999}, "ask for less"),
        ({"num_samples": 11}, "at most 10"),
        ({"height": 33}, "multiple"),
        ({"size": "9x"}, "give WIDTHxHEIGHT"),
        ({"n": 1, "num_samples": 1}, "given twice"),
        ({"format": "exe"}, "image is written as .png"),
        ({"prompt": " "}, "prompt must be a text"),
        ({"prompt": "a" * 10_001}, "at most 10000"),
        ({"prompt": "\ud800"}, "UTF-8"),
        ({"model": ["x"]}, "there is no model"),
    ],
    ids=str,
)
def test_what_a_request_may_not_say_is_refused(client, asked, said):
    text = json.dumps({**SMALL, **asked})
    answer = client.post(
        "/v1/media/image", content=text, headers={"content-type": "application/json"}
    )
    error = refusal(answer, 404 if "model" in asked else 400)
    assert said in error["message"]
    assert "/" not in error["message"].replace("/v1/media", "")
    assert not client.app.state.line.waiting


def test_a_prompt_is_taken_letter_by_letter(client):
    prompt = "${oc.env:HOME} height=8"
    job = client.post("/v1/media/image", json={**SMALL, "prompt": prompt}).json()
    assert finished(client, job)[-1]["prompt"] == prompt


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b'{"prompt": NaN}', "application/json", 400),
        (b"{}", "text/plain", 415),
        (b"{}", "multipart/form-data", 400),
        (b"x" * 64_000_001, "application/json", 413),
    ],
    ids=["broken", "list", "deep", "nan", "text", "no boundary", "large"],
)
def test_broken_bodies_are_refused(client, content, kind, status):
    answer = client.post("/v1/media/image", content=content, headers={"content-type": kind})
    refusal(answer, status)


def test_addresses_and_methods_that_are_none_are_refused_in_the_same_shape(client):
    refusal(client.get("/v1/none"), 404)
    refusal(client.get("/page/none.js"), 404)
    refusal(client.get("/page/..%2fapp.py"), 404)
    refusal(client.put("/health"), 405)
    refusal(client.post("/v1/media/none", json=SMALL), 404)
    refusal(client.get("/v1/media/jobs/none"), 404)
    assert client.get("/").status_code == 200


@pytest.mark.parametrize("host", ["evil.example:8000", "", "localhost.evil.example"])
def test_a_host_that_is_not_ours_is_refused(client, host):
    assert refusal(client.get("/health", headers={"host": host}), 403)["code"] == "wrong_host"


def test_addresses_and_this_machine_are_ours(client):
    for host in ("127.0.0.1:8000", "[::1]:8000", "localhost", "192.168.0.7:80"):
        assert client.get("/health", headers={"host": host}).json()["status"] == "ok"


def test_requests_of_other_sites_are_refused(client):
    for origin in ("http://evil.example", "null", "http://localhost:9000"):
        answer = client.get("/health", headers={"origin": origin})
        assert refusal(answer, 403)["code"] == "wrong_origin"
    assert client.get("/health", headers={"origin": "http://localhost:8000"}).status_code == 200


def test_a_token_guards_all_but_the_page(tiny_checkpoint):
    from starlette.testclient import TestClient

    app = build_app(ServeConfig(checkpoint=(str(tiny_checkpoint),)), "secret")
    client = TestClient(app, base_url="http://localhost")
    assert refusal(client.get("/v1/models"), 401)["code"] == "invalid_api_key"
    for given in ("Bearer secreT", "Basic secret", "Bearer "):
        client.headers["authorization"] = given
        assert client.get("/v1/models").status_code == 401
    assert client.get("/health").status_code == client.get("/").status_code == 200
    client.headers["authorization"] = "Bearer secret"
    assert client.get("/v1/models").status_code == 200


def test_the_page_takes_a_prompt_as_long_as_the_server_does():
    page = (PAGE / "index.html").read_text("utf-8")
    assert f'id="prompt" rows="3" maxlength="{MAX_TEXT}"' in page
