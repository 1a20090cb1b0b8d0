"""Reads what one process wrote, and writes it again, on two ranks: sharded_on_ranks.py FROM TO."""

import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Replicate, Shard, distribute_tensor

from damage import limited_files
from lumina_core.checkpoints.sharded import read_state, stored_tensors, write_state

PLACEMENTS = {  # on the mesh replicate x shard
    "matrix": (Replicate(), Shard(0)),
    "columns": (Replicate(), Shard(1)),
    "one_row": (Replicate(), Shard(0)),  # the second rank has nothing of it
    "uneven": (Replicate(), Shard(0)),
    "vector": (Replicate(), Replicate()),
}


def main(source: Path, target: Path) -> None:
    group = dist.new_group(backend="gloo")
    mesh = init_device_mesh("cpu", (1, 2), mesh_dim_names=("replicate", "shard"))
    state = {}
    for name, (shape, dtype) in stored_tensors(source).items():
        whole = torch.zeros(shape, dtype=dtype)
        places = PLACEMENTS.get(name)  # a plain tensor is alike on all ranks
        state[name] = whole if places is None else distribute_tensor(whole, mesh, places)
    read_state(source, state, group)
    written = write_state(target, state, group)
    assert [path.name for path in written] == [f"shard-0000{1 + dist.get_rank()}.safetensors"]
    try:
        with limited_files(64 if dist.get_rank() else 1 << 20):
            write_state(target.with_name("full"), state, group)
    except OSError as error:
        assert "File too large" in str(error), error  # what one rank meets, all raise
    else:
        raise AssertionError("a full disk was not noticed")


if __name__ == "__main__":
    dist.init_process_group("gloo")
    main(*map(Path, sys.argv[1:]))
    dist.barrier()
    dist.destroy_process_group()
