"""From photographs to a training set: rename, list, pack, merge."""
