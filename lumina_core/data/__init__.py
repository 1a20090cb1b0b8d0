"""Where training samples come from."""
