"""Images for Lumina: the modality plugin and its small synthetic world."""
