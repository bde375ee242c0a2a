import pytest

from src.common import devices
from src.common.errors import InputError
from src.common.mxnet_backend import mx

WHEEL = ("mxnet-cu112", "1.9.1")


@pytest.fixture
def four_gpus(monkeypatch):
    monkeypatch.setattr(devices, "usable_gpus", lambda: (4, None))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(devices, "usable_gpus", lambda: (0, "no NVIDIA GPU is visible"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.usefixtures("four_gpus")
def test_visible_devices_are_counted_from_zero(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    assert devices.training_contexts() == [mx.gpu(0), mx.gpu(1)]


@pytest.mark.usefixtures("four_gpus")
def test_unset_means_all_gpus():
    assert devices.training_contexts() == [mx.gpu(index) for index in range(4)]


@pytest.mark.usefixtures("four_gpus")
def test_empty_means_the_cpu(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert devices.training_contexts() == [mx.cpu()]
    assert devices.single_context(0) == mx.cpu()


@pytest.mark.usefixtures("four_gpus")
def test_more_devices_than_are_visible_raise_an_error(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3,4")
    with pytest.raises(InputError, match="names 5 GPUs, but 4"):
        devices.training_contexts()
    with pytest.raises(InputError, match="--gpu 4"):
        devices.single_context(4)


@pytest.mark.usefixtures("no_gpu")
def test_without_a_gpu_a_warning_reports_that_the_cpu_is_used(monkeypatch, caplog):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert devices.training_contexts() == [mx.cpu()]
    assert devices.single_context(0) == mx.cpu()
    assert caplog.messages == ["using the CPU: no NVIDIA GPU is visible"] * 2


@pytest.mark.usefixtures("four_gpus")
def test_minus_one_forces_the_cpu():
    assert devices.single_context(-1) == mx.cpu()
    assert devices.single_context(2) == mx.gpu(2)


def test_contexts_can_be_named():
    assert devices.parse_devices("cpu:0,cpu:1") == [mx.cpu(0), mx.cpu(1)]
    assert devices.training_contexts("cpu") == [mx.cpu(0)]
    with pytest.raises(InputError, match="tpu"):
        devices.parse_devices("tpu:0")


@pytest.mark.usefixtures("four_gpus")
def test_named_gpus_must_be_visible():
    assert devices.parse_devices("gpu:3,gpu") == [mx.gpu(3), mx.gpu(0)]
    with pytest.raises(InputError, match="--devices gpu:4: 4 GPUs are visible"):
        devices.training_contexts("gpu:4")


@pytest.mark.usefixtures("no_gpu")
def test_a_named_gpu_on_a_machine_without_gpus_is_an_error():
    with pytest.raises(InputError, match="--devices gpu:0: no NVIDIA GPU is visible"):
        devices.training_contexts("gpu:0")


@pytest.mark.parametrize(
    ("wheel", "has_cuda", "capabilities", "reason"),
    [
        (WHEEL, True, [(8, 9)], None),
        (WHEEL, True, [(9, 0)], "compute capability 9.0"),
        (WHEEL, True, [(8, 0), (10, 0)], "compute capability 10.0"),
        (WHEEL, True, [], "no NVIDIA GPU"),
        (("mxnet", "1.9.1"), False, [], "built for the CPU"),
        # NVIDIA's container has no wheel of that name, but has kernels for Hopper.
        (None, True, [(9, 0)], None),
    ],
)
def test_which_gpus_can_be_used(wheel, has_cuda, capabilities, reason):
    found = devices.unusable_gpu_reason(wheel, has_cuda, capabilities)
    assert (found is None) if reason is None else (reason in found)
