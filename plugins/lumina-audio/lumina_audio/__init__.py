"""Audio for lumina-core: text to sounds of any length."""
