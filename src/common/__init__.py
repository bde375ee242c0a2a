"""What several commands need: records, checkpoints, devices, the face template."""
