"""Face verification: accuracy, validation rate, report."""
