"""The mathematics of flow matching: path, solver, guidance, objective."""
