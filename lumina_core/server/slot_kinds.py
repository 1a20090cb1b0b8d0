"""Makes the slots that `serve` is asked for."""

from importlib.util import find_spec

import torch

from lumina_core.errors import LuminaError
from lumina_core.runtime import resolve_device
from lumina_core.server.process_slots import ProcessSlot
from lumina_core.server.settings import ACTORS, RAY, THREAD
from lumina_core.server.slots import Slot, ThreadSlot


def make_slots(text: str) -> list[Slot]:
    """The slots of a server; processes start at once.

    Args:
        text: as `ServeConfig.slots`.

    Raises:
        LuminaError: a device is not there, Ray is missing, or has too little room.
    """
    if text == THREAD:
        return [ThreadSlot()]
    if actors := ACTORS.fullmatch(text):
        if find_spec(RAY) is None:
            raise LuminaError(f"slots={text} needs Ray; install it: pip install 'lumina-core[ray]'")
        from lumina_core.server.ray_slots import ray_slots

        return [*ray_slots(None if actors["count"] is None else int(actors["count"]))]
    devices: list[str] = []
    for part in text.split(","):
        kind, number = part.split(":")
        devices += [kind] * int(number) if kind == "cpu" else [part]
    for device in set(devices):
        resolve_device(device)
    # that wait for each other's threads would lose most of the time
    num_threads = max(1, torch.get_num_threads() // len(devices))
    front = ThreadSlot("cpu")
    return [ProcessSlot(device, num_threads, front) for device in devices]
