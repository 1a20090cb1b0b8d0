"""The Flag-DiT of sounds (lumina_music, lumina_audio): latent frames along one axis, no patches.

Its weights stand in a file of Lightning beside those of the autoencoder and of the text encoder;
`model.diffusion_model.` is in front of their names. Nothing norms q and k, the condition is as wide
as the network, and time counts to 1000. The released sampler rounds that count down to a whole
number; here it stays what it is, and both agree where it is whole.

Source: Alpha-VLLM/Lumina-T2X, lumina_music/models/flag_large_dit.py (class FlagDiTv2).
"""

from lumina_core.backbone.families.flag_dit import SWITCHES, T2X
from lumina_core.backbone.families.layouts import Family, Layout

OF_TRAINING = (
    *("betas", "alphas_cumprod", "alphas_cumprod_prev", "sqrt_alphas_cumprod"),
    *("sqrt_one_minus_alphas_cumprod", "log_one_minus_alphas_cumprod"),
    *("sqrt_recip_alphas_cumprod", "sqrt_recipm1_alphas_cumprod", "posterior_variance"),
    *("posterior_log_variance_clipped", "posterior_mean_coef1", "posterior_mean_coef2"),
    *("logvar", "scale_factor"),
)
"""A schedule of diffusion that no flow reads; `scale_factor` is the autoencoder's."""

FLAG_DIT_AUDIO = Family(
    name="flag_dit_audio",
    switches={**SWITCHES, "separators": False, "qk_norm": False, "time_scale": 1000.0},
    layouts={
        "released": Layout(
            (*T2X, (r"^x_embedder", "proj_in"), (r"^layers", "blocks")),
            signature=("proj_in.weight", "blocks.0.attention.wk_y.weight"),
            unused=OF_TRAINING,
        )
    },
    channels=20,
    patch_size=1,
    modality="audio",
)
