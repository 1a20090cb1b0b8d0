"""From words and YAML layers to the typed record of any command; knows no command."""
