"""What all packages share: errors, flags, logging, devices, photos, output files."""
