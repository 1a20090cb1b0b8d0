"""The command `index`: the index of a data set, for training that streams it."""

from lumina_core import terminal
from lumina_core.checkpoints.vae_folder import modality_with_vae
from lumina_core.data.data_paths import index_path
from lumina_core.data.indexing import make_index
from lumina_core.data.settings import IndexConfig
from lumina_core.errors import MAX_REASON, LuminaError, printable, when_interrupted
from lumina_core.files.locks import sole_process

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
        raise LuminaError(
            f"data.index={path} exists already; replace it with overwrite=true, or name another "
            "place: data.index=FILE"
        )
    lock, place = path.with_name(path.name + LOCK), f"data.index={path}"
    with when_interrupted(lambda: KEPT), sole_process(lock, place):
        modality = modality_with_vae(config.modality, config.options, download=config.download)
        made = make_index(path, config.modality, modality, data)
    if made.num_left_out:
        are = "item is" if made.num_left_out == 1 else "items are"
        terminal.tell(f"warning: {made.num_left_out} {are} left out; {made.quarantine} says why")
    if made.cut:
        shards = printable(", ".join(made.cut), MAX_REASON)
        terminal.tell(
            f"warning: cut short or damaged: {shards}; only what stands before is in the index. "
            "Copy such shards again"
        )
    told = {"index": str(path), "num_items": made.num_items, "num_left_out": made.num_left_out}
    terminal.show_json(told, indent=None)
    return 0
