"""Embedding networks as ONNX graphs."""
