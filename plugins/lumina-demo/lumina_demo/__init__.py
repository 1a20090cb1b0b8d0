"""The demo checkpoint that the modalities of the project share: data, and no code."""
