"""The hooks a plugin can implement. A new one comes only with a shipped plugin that needs it."""

import pluggy

from lumina_core.modality import ModalitySpec

PROJECT = "lumina"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def lumina_modality() -> ModalitySpec:  # type: ignore[empty-body]
    """Describe the modality of this plugin, without importing anything heavy."""
