"""Shows a batch of documents: as a picture, as lines, or only what went wrong."""
