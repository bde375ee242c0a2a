"""Installs the package `src`: a port of the 2018 InsightFace training scripts to MXNet 1.9.1."""

from setuptools import find_packages, setup

# The libraries that the CUDA 11.2 build of MXNet loads; cuDNN 9 dropped the interface it uses.
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

# Writing ONNX files and comparing them with MXNet (src.export); both bear NumPy below 2.
ONNX = ["onnx>=1.16,<2", "onnxruntime>=1.17,<2"]

setup(
    name="insightface-mxnet-port",
    version="1.1.0",
    description="A faithful MXNet port of the 2018 InsightFace training scripts",
    license="MIT",
    python_requires=">=3.10,<3.13",
    packages=find_packages(include=["src", "src.*"]),
    install_requires=[
        "numpy>=1.23,<2",
        "opencv-python>=4.6,<4.12",  # 4.12 and later want NumPy 2
        "scikit-learn>=1.3,<1.8",
        "scikit-image>=0.22,<0.26",
        "scipy>=1.10,<1.16",
        "easydict>=1.10",
        "pillow>=9.5",
        "joblib>=1.3",
        "tqdm>=4.60",
        "matplotlib>=3.7,<3.11",
        "mtcnn==1.0.0",  # carries the weights of the face detector
        "lz4>=4.0",  # the format of those weights
        "setuptools<81",  # MXNet imports distutils, which Python 3.12 left to setuptools
    ],
    extras_require={
        "cpu": ["mxnet==1.9.1"],
        "cu112": ["mxnet-cu112==1.9.1", *CUDA_LIBRARIES],
        "onnx": ONNX,
        "dev": ["pytest>=8", "pytest-timeout", "pytest-xdist", "hypothesis", "ruff>=0.6", *ONNX],
    },
)
