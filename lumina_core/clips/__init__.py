"""Clips as files, for every modality of pictures one after the other; extra `clips`."""
