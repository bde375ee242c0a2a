"""From photographs to a training set: rename, list, hold out, pack, merge, inspect."""
