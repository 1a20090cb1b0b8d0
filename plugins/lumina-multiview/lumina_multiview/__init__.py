"""Multi-view for lumina-core: text to views of one object from any side."""
