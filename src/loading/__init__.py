"""Training data: decoded batches, the order of an epoch, bags and triplets."""
