"""The entry point: names the audio modality and where its parts are."""

from lumina_core import ModalitySpec, hookimpl


@hookimpl
def lumina_modality() -> ModalitySpec:
    """The audio modality."""
    return ModalitySpec(
        api=(3, 0),
        options="lumina_audio.options:AudioOptions",
        modality="lumina_audio.audio:AudioModality",
        condition="lumina_audio.options:AudioCondition",
    )


@hookimpl
def lumina_autoencoders() -> dict[str, dict[str, str]]:
    """The kinds of autoencoder that sounds go through: of spectrograms, and of waveforms."""
    return {
        "sounds": {
            "AutoencoderKL": "lumina_audio.autoencoders:SpectrogramAutoencoder",
            "MelAutoencoder1D": "lumina_audio.mel_autoencoder:MelAutoencoder",
            "AutoencoderOobleck": "lumina_audio.waveform_autoencoders:OobleckAutoencoder",
            "LongCatAudioDiTVae": "lumina_audio.waveform_autoencoders:LongCatAutoencoder",
            "AutoencoderSAME": "lumina_audio.waveform_autoencoders:SameAutoencoder",
        }
    }
