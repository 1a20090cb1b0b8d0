"""Text to features: encoders of any folder, frozen or learning along."""
