"""Writes the rows of a JSON Lines file, one document each, so that it can be killed and run again."""
