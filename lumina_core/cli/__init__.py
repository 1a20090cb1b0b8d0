"""The command line: from its words to an exit code, with all that it says to people."""
