"""The entry point: names the video modality and where its parts are."""

from lumina_core import ModalitySpec, hookimpl


@hookimpl
def lumina_modality() -> ModalitySpec:
    """The video modality."""
    return ModalitySpec(
        api=(3, 0),
        options="lumina_video.options:VideoOptions",
        modality="lumina_video.video:VideoModality",
        condition="lumina_video.options:VideoCondition",
    )


@hookimpl
def lumina_autoencoders() -> dict[str, dict[str, str]]:
    """The kinds of diffusers autoencoder that clips go through."""
    return {
        "clips": {
            "AutoencoderKL": "lumina_video.autoencoders:FrameAutoencoder",
            "AutoencoderKLWan": "lumina_video.wan:WanAutoencoder",
            "AutoencoderKLLTXVideo": "lumina_video.ltx:LTXAutoencoder",
            "AutoencoderKLCogVideoX": "lumina_video.cogvideox:CogVideoXAutoencoder",
        }
    }
