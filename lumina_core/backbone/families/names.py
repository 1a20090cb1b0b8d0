"""Renames that families share, from our names to stored ones: those of a release, of diffusers."""

RELEASED_ENDS = (
    (r"^inputs\.[^.]+", "x_embedder"),
    (r"^outputs\.[^.]+", "final_layer.linear"),
    (r"^final_modulation", "final_layer.adaLN_modulation.1"),
    (r"^time_embedding\.hidden", "t_embedder.mlp.0"),
    (r"^time_embedding\.out", "t_embedder.mlp.2"),
    (r"^(pooled|text)_norm", "cap_embedder.0"),
    (r"^(pooled|text)_linear", "cap_embedder.1"),
    (r"^blocks", "layers"),
)
DIFFUSERS_ENDS = (
    (r"^outputs\.[^.]+", "norm_out.linear_2"),
    (r"^final_modulation", "norm_out.linear_1"),
    (r"^time_embedding\.hidden", "time_caption_embed.timestep_embedder.linear_1"),
    (r"^time_embedding\.out", "time_caption_embed.timestep_embedder.linear_2"),
    (r"^(pooled|text)_norm", "time_caption_embed.caption_embedder.0"),
    (r"^(pooled|text)_linear", "time_caption_embed.caption_embedder.1"),
    (r"^blocks", "layers"),
)
REFINERS = ((r"^text_refiners", "context_refiner"), (r"^token_refiners", "noise_refiner"))
MODULATION = (r"\.modulation\.", ".adaLN_modulation.1.")
NORMS = (
    (r"\.attention_norm\.", ".attention_norm1."),
    (r"\.attention_post_norm\.", ".attention_norm2."),
    (r"\.ffn_norm\.", ".ffn_norm1."),
    (r"\.ffn_post_norm\.", ".ffn_norm2."),
)
DIFFUSERS_BLOCK = (
    (r"\.modulation\.", ".norm1.linear."),
    (r"\.attention_norm\.", ".norm1.norm."),
    (r"\.attention_post_norm\.", ".norm2."),
    (r"\.ffn_norm\.", ".ffn_norm1."),
    (r"\.ffn_post_norm\.", ".ffn_norm2."),
    (r"\.feed_forward\.w", ".feed_forward.linear_"),
)
