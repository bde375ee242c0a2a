"""Trained models in use: one photo, two photos, or many."""
