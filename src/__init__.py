"""A port of the 2018 InsightFace training scripts to MXNet 1.9.1."""

__version__ = "1.2.0.dev0"
