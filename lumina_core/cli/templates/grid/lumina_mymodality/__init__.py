"""Text to frames, a modality of lumina-core."""
