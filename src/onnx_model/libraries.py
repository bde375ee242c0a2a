"""onnx and onnxruntime: optional, installed with the extra `onnx`, and only used for the export."""

from src.common.errors import InputError

try:
    import onnx
    import onnxruntime
except ModuleNotFoundError as missing:
    if missing.name not in ("onnx", "onnxruntime"):
        raise
    raise InputError(
        f"{missing.name} is not installed, and the export needs it: pip install -e '.[onnx]'"
    ) from None

__all__ = ["onnx", "onnxruntime"]
