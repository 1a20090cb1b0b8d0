"""Looks at what was made: judges, compares, shows as pages."""
