"""A model on disk and in memory: saved whole, verified, loaded, compared."""
