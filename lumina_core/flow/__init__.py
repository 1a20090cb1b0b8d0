"""Flow matching as functions: the path, the loss, guidance and the solvers."""
