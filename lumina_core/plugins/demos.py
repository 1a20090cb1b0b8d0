"""Where the demo checkpoint of a modality is, and what to do without one."""

from pathlib import Path

from lumina_core.errors import LuminaError
from lumina_core.files.reading import read_json
from lumina_core.plugins import host

MANIFEST = "lumina.json"  # makes a folder a checkpoint
_DEMO = "demo"
"""The folder of a package with a demo, and the extension with the one that the SHIPPED share."""


def demo_folder(name: str) -> Path | None:
    """The demo checkpoint of a modality: its plugin's, else one that an extension ships, or None.

    An extension has in `demo/NAME` what is for one modality, else in `demo` what several share.
    """
    if own := host.data_folder(host.find(name), _DEMO):
        return own
    folders = list(host.extension_folders(_DEMO))
    shared = [folder for folder in folders if (folder / MANIFEST).is_file()]
    of_one = (folder / name for folder in folders if folder not in shared)
    found = [folder for folder in of_one if folder.is_dir()]
    return next(iter(found), None) or next((each for each in shared if _knows(each, name)), None)


def _knows(checkpoint: Path, name: str) -> bool:
    """Whether a manifest names a modality; who opens one that cannot be read says what is wrong."""
    try:
        return name in read_json(checkpoint / MANIFEST)["modalities"]
    except (OSError, ValueError, KeyError, TypeError):
        return True


def lack_of_demo(name: str, instead: str) -> LuminaError:
    """That a modality has no demo here, and what can be installed.

    Args:
        name: of the modality.
        instead: what can be done without a demo, as the end of the message.
    """
    text = f"modality {name!r} ships no demo checkpoint"
    if name in host.SHIPPED:
        shared = next((each for each in host.extensions() if each.name == _DEMO), None)
        if shared is None:
            return LuminaError(
                f"{text}; install the demo of the project: {host.install_command(_DEMO)}, "
                f"or {instead}"
            )
        if shared.error is not None:
            return LuminaError(f"{text}. {host.refusal(shared)} Or {instead}")
    return LuminaError(f"{text}; {instead}")
