"""Training: the trainer and its classifiers, the loop, its hooks, and the state of a run."""
