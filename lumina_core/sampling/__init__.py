"""From a request to media, and to files with the request inside."""
