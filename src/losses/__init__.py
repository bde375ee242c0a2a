"""Training losses, one module each; `registry` finds them by their number."""
