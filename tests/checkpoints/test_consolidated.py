import argparse
import os

import pytest
import torch
from safetensors.torch import save_file

from lumina_core import LuminaError
from lumina_core.checkpoints.consolidated import consolidated_files, open_parts, read_arguments

BY_ROWS = ("layers.0.attention.wq.weight", "x_embedder.bias", "layers.0.attention.gate")
BY_COLUMNS = ("layers.0.feed_forward.w2.weight", "y_embedder.embedding_table.weight")
COPIED = ("t_embedder.mlp.2.bias", "layers.0.attention_norm.weight", "pad_token")


def weights():
    """One tensor of each way to be cut, none like another."""
    torch.manual_seed(0)
    shapes = dict.fromkeys((*BY_ROWS, *BY_COLUMNS, *COPIED), (4,))
    matrices = {name for name in (*BY_ROWS, *BY_COLUMNS) if name.endswith("weight")}
    return {name: torch.randn((4, 6) if name in matrices else shapes[name]) for name in shapes}


def write_parts(folder, name="consolidated", suffix="safetensors", total=2, values=None):
    values = weights() if values is None else values
    for number in range(total):
        part = {
            key: value.chunk(total, dim=int(key in BY_COLUMNS))[number].clone()
            if key not in COPIED
            else value
            for key, value in values.items()
        }
        path = folder / f"{name}.{number:02d}-of-{total:02d}.{suffix}"
        save_file({k: v.contiguous() for k, v in part.items()}, path)
    return values


@pytest.mark.parametrize("total", [1, 2])
def test_parts_join_to_the_whole(tmp_path, total):
    whole = write_parts(tmp_path, total=total)
    stored = open_parts(consolidated_files(tmp_path))
    assert len(stored.files) == total
    for name, value in whole.items():
        assert stored.tensors[name].shape == value.shape, name
        assert torch.equal(stored.read(name), value), name
        assert torch.equal(stored.read(name, rows=(1, 3)), value[1:3]), name


def test_average_is_preferred_and_a_file_chooses_itself(tmp_path):
    write_parts(tmp_path)
    write_parts(tmp_path, "consolidated_ema")
    names = [path.name for path in consolidated_files(tmp_path)]
    assert names == [f"consolidated_ema.{n:02d}-of-02.safetensors" for n in (0, 1)]
    own = tmp_path / "consolidated.01-of-02.safetensors"
    assert [path.name for path in consolidated_files(own)] == [
        f"consolidated.{n:02d}-of-02.safetensors" for n in (0, 1)
    ]


def test_other_folders_and_files_have_no_parts(tmp_path):
    (tmp_path / "model.safetensors").touch()
    assert consolidated_files(tmp_path) == []
    assert consolidated_files(tmp_path / "model.safetensors") == []


def refusal(folder):
    with pytest.raises(LuminaError) as caught:
        open_parts(consolidated_files(folder))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_parts_that_do_not_belong_together_are_refused(tmp_path):
    whole = write_parts(tmp_path)
    second = tmp_path / "consolidated.01-of-02.safetensors"
    second.rename(tmp_path / "away")
    assert "consolidated.01-of-02.safetensors is missing" in refusal(tmp_path)
    part = {name: value.chunk(2, dim=int(name in BY_COLUMNS))[1] for name, value in whole.items()}
    part = {k: (whole[k] if k in COPIED else v).contiguous() for k, v in part.items()}
    save_file({k: v for k, v in part.items() if k != "pad_token"}, second)
    assert "lacks pad_token" in refusal(tmp_path)
    save_file(part | {"pad_token": part["pad_token"] + 1}, second)
    assert "pad_token in values that do not fit" in refusal(tmp_path)
    save_file(part | {"x_embedder.bias": torch.zeros(3)}, second)
    assert "x_embedder.bias in shapes" in refusal(tmp_path)


def test_arguments_are_read_without_executing_anything(tmp_path):
    path = tmp_path / "model_args.pth"
    given = argparse.Namespace(model="NextDiT_2B", image_size=1024, qk_norm=True, other=[1])
    torch.save(given, path)
    assert read_arguments(path) == {"model": "NextDiT_2B", "image_size": 1024, "qk_norm": True}

    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "executed"),)

    for value in (argparse.Namespace(a=Bomb()), {"a": 1}, Bomb()):
        torch.save(value, path)
        with pytest.raises(LuminaError, match=r"model_args\.pth"):
            read_arguments(path)
    assert not (tmp_path / "executed").exists()
