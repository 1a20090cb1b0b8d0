"""The Flag-DiT backbone: tokens, time and text in, velocity out."""
