"""The hooks a plugin can implement. A new one comes only with a shipped plugin that needs it."""

from collections.abc import Mapping

import pluggy

from lumina_core.modality import ModalitySpec

PROJECT = "lumina"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def lumina_modality() -> ModalitySpec:  # type: ignore[empty-body]
    """Describe the modality of this plugin, without importing anything heavy."""


@hookspec
def lumina_autoencoders() -> Mapping[str, Mapping[str, str]]:  # type: ignore[empty-body]
    """The kinds of autoencoder that this package has, as `{medium: {_class_name: path}}`.

    A path is `module:class`; the class inherits `Autoencoder` of `lumina_core.autoencoder.networks`
    and is called with the folder. docs/authors/hooks.md names the media, and what each asks of it.
    """


@hookspec
def lumina_networks() -> Mapping[str, str]:  # type: ignore[empty-body]
    """The kinds of network that this package has, as `{_class_name: "module:class"}`.

    The class inherits `PackagedNetwork` of `lumina_core.backbone.network`. It is imported where a
    model of its kind is opened.
    """
