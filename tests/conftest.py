"""Fixtures that all tests share."""

import os
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from src.formats.face_records import FaceRecordWriter
from src.formats.verification_set import write_bin

REPOSITORY = Path(__file__).resolve().parents[1]

AVX512_CORE = {"avx512f", "avx512bw", "avx512dq", "avx512vl"}
# Values of DNNL_MAX_CPU_ISA that keep oneDNN from using AVX-512.
BELOW_AVX512 = {"SSE41", "AVX", "AVX2", "AVX2_VNNI"}


@pytest.fixture(scope="session")
def repository():
    """Path of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared():
    """Path of the folder `shared` next to the checkout: reference numbers, photos, a model."""
    path = REPOSITORY.parent / "shared"
    if not path.is_dir():
        pytest.skip("the reference folder ../shared is missing: parity is NOT checked")
    return path


@pytest.fixture(scope="session")
def reference_arithmetic():
    """Whether oneDNN computes as it did for the reference: with AVX-512, on one thread.

    Otherwise sums are computed in another order: a PReLU's input near 0 can change its sign, and
    training amplifies that from step to step.
    """
    cpu = Path("/proc/cpuinfo")
    words = set(cpu.read_text().split()) if cpu.exists() else set()
    isa = os.environ.get("DNNL_MAX_CPU_ISA", "ALL").upper()
    threads = os.environ.get("OMP_NUM_THREADS", str(os.cpu_count()))
    return words >= AVX512_CORE and isa not in BELOW_AVX512 and threads == "1"


@pytest.fixture(scope="session")
def learnable_set(tmp_path_factory):
    """Folder of a training set that is easy to learn: 8 identities with 6 pictures of 112×112 each.

    Each identity has its own coarse pattern; its pictures differ by noise. `pairs.bin` is a
    verification set of the same pictures.
    """
    folder = tmp_path_factory.mktemp("learnable")
    random = np.random.RandomState(0)
    pictures = []
    with FaceRecordWriter(folder / "train.rec") as writer:
        for identity in range(8):
            coarse = random.randint(0, 256, (7, 7, 3)).astype(np.uint8)
            pattern = cv2.resize(coarse, (112, 112), interpolation=cv2.INTER_LINEAR)
            for _ in range(6):
                noisy = pattern.astype(int) + random.randint(-25, 26, pattern.shape)
                picture = np.clip(noisy, 0, 255).astype(np.uint8)
                pictures.append(cv2.imencode(".jpg", picture)[1].tobytes())
                writer.add_image([identity, 1], pictures[-1])
    (folder / "property").write_text("8,112,112\n")
    same = [(6 * i, 6 * i + 1) for i in range(8)]
    different = [(6 * i, (6 * i + 8) % 48) for i in range(8)]
    pairs = [pair for both in zip(same, different, strict=True) for pair in both]
    write_bin(
        folder / "pairs.bin", [pictures[i] for pair in pairs for i in pair], [True, False] * 8
    )
    return folder


@pytest.fixture(scope="session")
def portrait():
    """uint8 (512, 512, 3) RGB, one face: scikit-image's astronaut, which its wheel contains."""
    from skimage import data

    return data.astronaut()


@pytest.fixture
def tiny_disk(tmp_path):
    """A folder on a disk of 2 MB of its own, for tests of full disks."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "none", folder], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a small disk: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)
