"""Which plugins there are: found, watched, loaded, checked, and their YAML read strictly."""
