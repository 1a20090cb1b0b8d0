"""The training state of a checkpoint of one rank, for the tests that look into it."""

from safetensors.torch import load_file

STATE_FILE = "state/shard-00001.safetensors"


def state_in(checkpoint):
    """Every tensor of it by name."""
    return load_file(checkpoint / STATE_FILE)
