"""The flow transformers of diffusers as networks of lumina-core: one file per family."""
