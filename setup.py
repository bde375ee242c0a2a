"""Installs the package `src`: a port of the 2018 InsightFace training scripts to MXNet 1.9.1."""

import runpy
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).resolve().parent

# The libraries that the CUDA 11.2 build of MXNet loads; cuDNN 9 lacks the interface it uses.
CUDA_LIBRARIES = [
    "nvidia-cublas-cu11",
    "nvidia-cuda-nvrtc-cu11",
    "nvidia-cuda-runtime-cu11",
    "nvidia-cudnn-cu11>=8,<9",
    "nvidia-cufft-cu11",
    "nvidia-curand-cu11",
    "nvidia-cusolver-cu11",
    "nvidia-cusparse-cu11",
    "nvidia-nccl-cu11",
    "nvidia-nvtx-cu11",
]

# For src.export: writing ONNX files and comparing them with MXNet. Both work with NumPy below 2.
ONNX = ["onnx>=1.16,<2", "onnxruntime>=1.17,<2"]

# For aligning on the machines of a cluster.
DASK = ["distributed>=2023.5"]

# MXNet uses `numpy.bool`, which NumPy 1.24 removed: with these pins `import mxnet` works before any
# import of this project. They are in the extras, so that a newer NumPy can be brought along. Python
# 3.12 has no such NumPy, and needs `import src.common.mxnet_backend` first.
OLDER_NUMPY = "numpy<1.24; python_version<'3.12'"

setup(
    name="insightface-mxnet-port",
    version=runpy.run_path(str(HERE / "src" / "__init__.py"))["__version__"],
    description="A faithful MXNet port of the 2018 InsightFace training scripts",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    project_urls={
        "Original scripts": "https://github.com/deepinsight/insightface",
        "MXNet": "https://mxnet.apache.org/versions/1.9.1/",
        "ArcFace": "https://arxiv.org/abs/1801.07698",
    },
    classifiers=[
        "Development Status :: 5 - Production/Stable",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Image Recognition",
        "Typing :: Typed",
    ],
    python_requires=">=3.10,<3.13",
    packages=find_packages(include=["src", "src.*"]),
    package_data={"src": ["py.typed", "common/*.pyi"]},
    install_requires=[
        "numpy>=1.23,<2",
        "opencv-python>=4.6,<4.12",  # 4.12 and later want NumPy 2
        "scikit-learn>=1.3,<1.8",
        "scikit-image>=0.22,<0.26",
        "scipy>=1.10",  # reads AgeDB's protocol
        "easydict>=1.10",
        "pillow>=9.5",
        "joblib>=1.3",
        "tqdm>=4.60",
        "matplotlib>=3.7,<3.11",
        "mtcnn==1.0.0",  # carries the weights of the face detector
        "lz4>=4.0",  # the format of those weights
        "graphviz>=0.8.1",  # pictures of networks; MXNet needs it too
        "setuptools<81",  # MXNet imports distutils; since Python 3.12 only setuptools provides it
    ],
    extras_require={
        "cpu": ["mxnet==1.9.1", OLDER_NUMPY],
        "cu112": ["mxnet-cu112==1.9.1", OLDER_NUMPY, *CUDA_LIBRARIES],
        "onnx": ONNX,
        "heic": ["pillow-heif>=0.13"],  # photos of iPhones
        "dask": DASK,
        "dev": [
            *DASK,
            "pytest>=8",
            "pytest-timeout",
            "pytest-xdist",
            "hypothesis",
            "mypy>=1.10",
            "ruff>=0.6",
            *ONNX,
        ],
    },
)
