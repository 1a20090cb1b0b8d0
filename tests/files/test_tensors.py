import io

import pytest
import torch
from safetensors.torch import load, save

from lumina_core.files.tensors import PlannedTensor, write_tensors

WEIGHTS = {
    "odd": torch.arange(3.0).to(torch.bfloat16),
    "matrix": torch.arange(12.0).reshape(4, 3).T,
    "scalar": torch.tensor(2.0, dtype=torch.float64),
    "none": torch.zeros(0, 2),
    "half": torch.arange(5.0).half(),
}
NAMES = {torch.float32: "F32", torch.float64: "F64", torch.float16: "F16", torch.bfloat16: "BF16"}


def written(weights, about):
    file = io.BytesIO()
    planned = {
        name: PlannedTensor(tuple(value.shape), NAMES[value.dtype], lambda value=value: value)
        for name, value in weights.items()
    }
    write_tensors(file, planned, about)
    return file.getvalue()


def test_write_tensors_gives_a_file_that_the_library_reads():
    found = load(written(WEIGHTS, {"format": "pt"}))
    assert found.keys() == WEIGHTS.keys()
    for name, value in WEIGHTS.items():
        assert found[name].dtype == value.dtype
        assert torch.equal(found[name], value), name


def test_write_tensors_writes_the_bytes_of_the_library():
    weights = {name: value.contiguous() for name, value in WEIGHTS.items()}
    assert written(weights, {"format": "pt"}) == save(weights, metadata={"format": "pt"})


def test_write_tensors_casts_and_refuses_another_shape_than_planned():
    file = io.BytesIO()
    write_tensors(file, {"a": PlannedTensor((2,), "BF16", lambda: torch.ones(2))}, {})
    assert load(file.getvalue())["a"].dtype == torch.bfloat16
    with pytest.raises(ValueError, match="a has shape"):
        write_tensors(io.BytesIO(), {"a": PlannedTensor((3,), "F32", lambda: torch.ones(2))}, {})
