"""The frame of the 3-D viewer, whose origin is its own, gets its own files and nothing else."""

OF_THE_FRAME = {"Origin": "null"}


def test_the_viewer_is_answered_in_its_sandbox_alone(client):
    for name in ("index.html", "viewer.js", "model-viewer-umd.min.js"):
        answer = client.get(f"/page/viewer/{name}", headers=OF_THE_FRAME)
        assert answer.status_code == 200
        policy = answer.headers["content-security-policy"].split("; ")
        assert policy[0] == "sandbox allow-scripts" and "connect-src blob: data:" in policy
    for path in ("/v1/media", "/v1/media/jobs/0", "/page/app.js", "/page/viewer"):
        assert client.get(path, headers=OF_THE_FRAME).status_code == 403
    assert "wasm" not in client.get("/").headers["content-security-policy"]


def test_the_library_of_the_viewer_comes_with_its_licences(client):
    text = client.get("/page/viewer/LICENSES.txt").text
    for name in ("Apache License", "model-viewer", "three.js", "Permission is hereby granted"):
        assert name in text
