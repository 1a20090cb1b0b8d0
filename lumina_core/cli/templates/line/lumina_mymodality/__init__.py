"""Text to signals, a modality of lumina-core."""
