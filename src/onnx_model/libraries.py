"""onnx and onnxruntime, which are installed with the extra `onnx` and needed for nothing else."""

from src.common.errors import InputError

try:
    import onnx
    import onnxruntime
except ModuleNotFoundError as missing:
    if missing.name not in ("onnx", "onnxruntime"):
        raise
    raise InputError(
        f"{missing.name} is not installed, which exporting needs: pip install -e '.[onnx]'"
    ) from None

__all__ = ["onnx", "onnxruntime"]
