"""argv to an exit code: the commands, their help and their messages."""
