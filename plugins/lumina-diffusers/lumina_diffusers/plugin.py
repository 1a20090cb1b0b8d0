"""The entry point: names the kinds of network and where their classes are."""

from lumina_core import hookimpl


@hookimpl
def lumina_networks() -> dict[str, str]:
    """The transformers of diffusers that are read, by the `_class_name` in their config.json."""
    return {
        "AceStepTransformer1DModel": "lumina_diffusers.ace_step:AceStepNetwork",
        "LTXVideoTransformer3DModel": "lumina_diffusers.ltx:LTXNetwork",
        "LongCatAudioDiTTransformer": "lumina_diffusers.longcat:LongCatNetwork",
        "StableAudio3DiTModel": "lumina_diffusers.stable_audio_3:StableAudio3Network",
        "WanTransformer3DModel": "lumina_diffusers.wan:WanNetwork",
    }
