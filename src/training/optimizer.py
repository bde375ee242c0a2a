"""The optimizer of a run; it owns the learning-rate schedule and all multipliers."""

from collections.abc import Mapping

from src.common.mxnet_backend import mx
from src.common.noise_sgd import NoiseSGD
from src.training.schedule import Schedule, ScheduledRate


def make_optimizer(
    schedule: Schedule,
    momentum: float,
    decay: float,
    devices: int,
    noise: float = 0.0,
    lr_mult: Mapping[str, float] | None = None,
    wd_mult: Mapping[str, float] | None = None,
    finished_steps: int = 0,
    loss_scale: float | None = None,
) -> mx.optimizer.Optimizer:
    """SGD with the rates of a schedule, and with noise on the gradients if `noise` is above 0.

    2018: made without the symbol, so its lr_mult and wd_mult attributes have no effect: the softmax
    bias learns at the same rate as everything else, and weight decay also applies to biases and
    batch normalisation. The multipliers for fc7_weight had no effect either; here they do.

    Parameters
    ----------
    momentum, decay
        --mom, --wd
    devices
        The gradient is scaled by 1/devices.
    lr_mult, wd_mult
        Factors of learning rate and weight decay, by parameter name.
    finished_steps
        Batches that the run has already trained on.
    loss_scale
        Of a float16 network; the gradient is divided by it, and added to float32 copies of the
        weights. None: a float32 network.
    """
    options = {
        "learning_rate": schedule.base_rate,
        "lr_scheduler": ScheduledRate(schedule),
        "momentum": momentum,
        "wd": decay,
        "rescale_grad": 1.0 / (devices * (loss_scale or 1.0)),
        "multi_precision": loss_scale is not None,
        "begin_num_update": finished_steps,
    }
    if noise > 0.0:
        print("use noise sgd")
        optimizer = NoiseSGD(noise, **options)
    else:
        optimizer = mx.optimizer.SGD(**options)
    optimizer.set_lr_mult(dict(lr_mult or {}))
    optimizer.set_wd_mult(dict(wd_mult or {}))
    return optimizer
