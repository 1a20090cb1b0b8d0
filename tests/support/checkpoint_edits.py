"""Checkpoints that somebody changed: edited, read again, refused."""

import pytest
import torch

from lumina_core import LuminaError
from lumina_core.checkpoints import manifest as checkpoints_manifest
from lumina_core.checkpoints import model
from lumina_core.config.compose import compose_options
from lumina_core.files.seals import sealed

CPU = torch.device("cpu")


def read(folder):
    options = compose_options("image", {"patch_size": 2})
    return model.load(folder, "image", options, device=CPU, dtype=torch.float32)


def refusal(folder):
    with pytest.raises(LuminaError) as raised:
        read(folder)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def edit_manifest(folder, **changed):
    """Change the manifest and seal it again, as somebody who means it would."""
    manifest = checkpoints_manifest.read_manifest(folder)
    files = {**manifest["files"], **changed.pop("files", {})}
    del manifest["sha256"]
    (folder / "lumina.json").write_text(sealed({**manifest, **changed, "files": files}))
