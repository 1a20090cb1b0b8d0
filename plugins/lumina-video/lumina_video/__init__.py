"""Video for lumina-core: text to clips of any length and size."""
