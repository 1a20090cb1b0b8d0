"""Released models by family: the settings and the names of their weights."""
