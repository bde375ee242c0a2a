"""Checkpoints: find, load, save and bind them, and compute embeddings with them."""
