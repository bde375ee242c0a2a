"""A run of training as a whole: begins or goes on, steps to its end, and loses nothing."""

import functools
import logging
import os
from typing import NamedTuple

from src.common import checkpoints
from src.common.errors import InputError
from src.common.mxnet_backend import mx
from src.common.noise_sgd import NoiseSGD
from src.training.callbacks import (
    BetaLine,
    CheckpointRule,
    Milestones,
    RateFall,
    RateLine,
    SpeedLine,
)
from src.training.fit import Progress, fit
from src.training.resume import (
    check_same_run,
    read_state,
    seed_generators,
    state_path,
    write_state,
)
from src.training.stopping import Diverged

log = logging.getLogger(__name__)

INTERRUPTED = 130  # the exit status of a program that a signal ended


class Settings(NamedTuple):
    """What a run is told beside its model and data.

    `prefix`, `ckpt`, `verbose`, `resume` are the flags of that name; `seed` is a number; `identity`
    maps those flags to their values that have to be the same when the run goes on.
    """

    prefix: str
    ckpt: int
    verbose: int
    resume: bool
    seed: int
    identity: dict


def make_optimizer(rate, momentum, decay, devices, noise=0.0, fc7_lr_mult=1.0, fc7_wd_mult=1.0):
    """The SGD of a run; with noise on the gradients where `noise` is above 0.

    2018: made without the symbol, so that its lr_mult and wd_mult attributes are not seen: the
    softmax bias learns at the same rate as all else, and decay reaches biases and batch
    normalisation too. The factors for fc7_weight were without effect as well; here they have it.

    Parameters
    ----------
    rate, momentum, decay : float
        --lr, --mom, --wd.
    devices : int
        The gradient is scaled by 1/devices.
    """
    options = {
        "learning_rate": rate,
        "momentum": momentum,
        "wd": decay,
        "rescale_grad": 1.0 / devices,
    }
    if noise > 0.0:
        print("use noise sgd")
        optimizer = NoiseSGD(noise, **options)
    else:
        optimizer = mx.optimizer.SGD(**options)
    optimizer.set_lr_mult({"fc7_weight": fc7_lr_mult})
    optimizer.set_wd_mult({"fc7_weight": fc7_wd_mult})
    return optimizer


class Run:
    """A model, its data, and the file that holds the state of both.

    Parameters
    ----------
    model : TrainingModel
        Not yet bound.
    train_data : DataIter
        With `state` and `restore`.
    settings : Settings
    """

    def __init__(self, model, train_data, settings):
        self.model = model
        self.train_data = train_data
        self.settings = settings
        self.seed = settings.seed
        self.path = state_path(settings.prefix)
        self._numbers = None
        self._momentum = {}

    def bind(self, initializer, arg_params, aux_params):
        """Binds the model: with the state's parameters, the given ones, or drawn ones."""
        data_shape = self.train_data.provide_data[0].shape
        if self.settings.resume:
            if os.path.exists(self.path):
                arg_params, aux_params = self._read()
            else:
                log.info("there is no %s: the run starts from its beginning", self.path)
        self.model.bind(data_shape[0], data_shape[1:], initializer, arg_params, aux_params)

    def _read(self):
        arrays, self._numbers = read_state(self.path)
        check_same_run(self.path, self._numbers["identity"], self.settings.identity)
        kinds = {"arg": {}, "aux": {}, "momentum": self._momentum}
        for key, array in arrays.items():
            kind, _, name = key.partition(":")
            kinds[kind][name] = array
        return kinds["arg"], kinds["aux"]

    def restore(self, milestones):
        """The `Progress` to begin with; sets momentum, data order, counters and generators."""
        numbers = self._numbers
        if numbers is None:
            return Progress()
        self.model.set_momentum(self._momentum)
        self.train_data.restore(numbers["data"])
        milestones.restore(numbers["milestones"])
        self.seed = numbers["seed"]
        seed_generators(self.seed, numbers["step"])
        log.info("going on behind batch %d, from %s", numbers["step"], self.path)
        return Progress(numbers["epoch"], numbers["nbatch"], numbers["step"])

    def save_state(self, progress, milestones_state):
        """Writes all that `restore` needs."""
        # MXNet tells nobody the state of its generator. So all are set to a known one here, in the
        # run that goes on as in the one that is restored.
        seed_generators(self.seed, progress.step)
        arg_params, aux_params = self.model.parameters()
        arrays = {f"arg:{name}": array for name, array in arg_params.items()}
        arrays.update({f"aux:{name}": array for name, array in aux_params.items()})
        momentum = self.model.momentum()
        arrays.update({f"momentum:{name}": array for name, array in momentum.items()})
        numbers = {
            "identity": self.settings.identity,
            "seed": self.seed,
            "epoch": progress.epoch,
            "nbatch": progress.nbatch,
            "step": progress.step,
            "data": self.train_data.state(),
            "milestones": milestones_state,
        }
        write_state(self.path, arrays, numbers)

    def check_parameters(self, step):
        """Raises `Diverged` if there is NaN or infinity among the parameters."""
        broken = self.model.non_finite()
        if broken:
            raise Diverged(f"batch {step}: not finite are the parameters {', '.join(broken[:6])}")

    def train(self, optimizer, schedule, metric, verify):
        """From the first batch, or the one behind the state's, to the end.

        Parameters
        ----------
        optimizer : mx.optimizer.Optimizer
        schedule : Schedule
        metric : mx.metric.EvalMetric
            With a member `lossvalue`.
        verify : callable
            From a batch number to the accuracies of the targets.

        Raises
        ------
        Diverged
            Names the tensor, the batch, and the last good checkpoint.
        SystemExit
            A signal ended the run; its state is written.
        """
        self.model.init_optimizer(optimizer)

        def check_and_verify(step):
            self.check_parameters(step)
            try:
                return verify(step)
            except InputError as error:  # the sets were checked when they were read
                raise Diverged(f"batch {step}: {error}") from None

        milestones = Milestones(
            self.settings.verbose,
            check_and_verify,
            CheckpointRule(self.settings.ckpt),
            functools.partial(self.model.save, self.settings.prefix),
            self.save_state,
        )
        progress = self.restore(milestones)
        batch_size = self.train_data.batch_size
        callbacks = [
            RateFall(schedule),
            SpeedLine(batch_size, schedule.last_step, self.train_data.wait_seconds),
            RateLine(schedule),
            BetaLine(schedule),
            milestones,
        ]
        try:
            stopped = fit(self.model, self.train_data, metric, schedule, callbacks, progress)
            if stopped:
                self._leave(progress, milestones)
            milestones.finish(progress)
        except Diverged as error:
            raise Diverged(f"{error}. {self._after_divergence(milestones)}") from None

    def _leave(self, progress, milestones):
        """Ends the program after a signal."""
        if self.settings.ckpt:
            self.save_state(progress, milestones.state())
            log.warning(
                "stopped behind batch %d; the same command with --resume goes on from there",
                progress.step,
            )
        else:
            log.warning("stopped behind batch %d; --ckpt 0 keeps nothing", progress.step)
        raise SystemExit(INTERRUPTED)

    def _after_divergence(self, milestones):
        prefix, number = self.settings.prefix, milestones.saved_number
        good = checkpoints.params_path(prefix, number) if number else "none yet"
        return (
            f"Last good checkpoint: {good}. A lower --lr mends it, or starting from a softmax "
            "checkpoint (--loss-type 0, then --pretrained)"
        )
