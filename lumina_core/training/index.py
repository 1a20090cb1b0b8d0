"""The command `index`: the index of a data set, for training that streams it."""

from typing import Any

from lumina_core import terminal
from lumina_core.checkpoints.vae_folder import find_vae
from lumina_core.data.data_paths import index_path
from lumina_core.data.indexing import make_index
from lumina_core.data.settings import IndexConfig
from lumina_core.errors import LuminaError, when_interrupted
from lumina_core.files.locks import sole_process
from lumina_core.modality import Modality, has_weights
from lumina_core.plugins.parts import make_modality

LOCK = ".lock"
KEPT = "what was measured is kept, give the same command again"


def index_command(config: IndexConfig) -> int:
    """Make an index and print where it is as JSON.

    Raises:
        LuminaError: there is one already, or it cannot be made.
    """
    data = config.data
    path = index_path(data.name, data, config.modality)
    if path.exists() and not config.overwrite:
        raise LuminaError(f"data.index={path} exists already; use overwrite=true")
    lock, place = path.with_name(path.name + LOCK), f"data.index={path}"
    with when_interrupted(lambda: KEPT), sole_process(lock, place):
        made = make_index(path, config.modality, modality_of(config), data)
    if made.num_left_out:
        terminal.tell(
            f"warning: {made.num_left_out} items are left out; {made.quarantine} says why"
        )
    told = {"index": str(path), "num_items": made.num_items, "num_left_out": made.num_left_out}
    terminal.show_json(told, indent=None)
    return 0


def modality_of(config: Any) -> Modality:
    """The modality of a command that has `options` and `download`, with its autoencoder.

    Raises:
        LuminaError: it cannot be used, or its autoencoder is not there.
    """
    name = config.modality
    folder = None
    if has_weights(config.options):
        folder = find_vae(name, config.options.vae, download=config.download)
    return make_modality(name, config.options, folder)
