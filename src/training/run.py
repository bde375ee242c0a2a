"""A training run: starting or resuming, training to the end, and saving its state."""

import logging
import os
from collections.abc import Sequence
from typing import Any

from src.checkpoints.names import params_path
from src.common.errors import INTERRUPTED
from src.common.mxnet_backend import Parameters, mx
from src.losses.base import Loss
from src.training.fit import fit
from src.training.hooks import (
    FiniteLoss,
    Hook,
    Hooks,
    Progress,
    RateChange,
    RateLine,
    RemainingTime,
    SpeedLine,
    StepValueLine,
)
from src.training.milestones import CheckpointRule, Milestones
from src.training.resume import (
    as_state,
    check_same_run,
    read_state,
    state_path,
    write_state,
)
from src.training.run_settings import (
    ROLLBACK,
    MakeOptimizer,
    ResumableData,
    RunSettings,
    Verify,
)
from src.training.schedule import Schedule
from src.training.seeds import seed_generators
from src.training.stopping import Diverged
from src.training.trainer import Trainer
from src.training.verification import checked

log = logging.getLogger(__name__)

ROLLBACK_FACTOR = 0.5  # of the learning rate
MOST_ROLLBACKS = 5  # to the same state


class Run:
    """A trainer, its data, and the file with the state of both.

    Parameters
    ----------
    trainer
        Not yet bound.
    train_data
    settings
    """

    def __init__(self, trainer: Trainer, train_data: ResumableData, settings: RunSettings) -> None:
        self.trainer = trainer
        self.workers = trainer.workers
        self.train_data = train_data
        self.settings = settings
        self.seed = trainer.classifier.seed = settings.seed
        self.path = state_path(settings.prefix)
        self.rate_factor = 1.0  # smaller after a rollback
        self._numbers: dict[str, Any] | None = None
        self._momentum: Parameters = {}

    def bind(
        self,
        initializer: mx.init.Initializer,
        arg_params: Parameters | None,
        aux_params: Parameters | None,
    ) -> None:
        """Binds the trainer, with the parameters of the state, the given ones, or new ones."""
        data_shape = self.train_data.provide_data[0].shape
        if self.settings.resume:
            if self._has_state():
                arg_params, aux_params = self._read()
            else:
                log.info("there is no %s: the run starts at the first batch", self.path)
        self.trainer.bind(data_shape[0], data_shape[1:], initializer, arg_params, aux_params)

    def _has_state(self) -> bool:
        return self.workers.from_first(lambda: os.path.exists(self.path))

    def _read(self) -> tuple[Parameters, Parameters]:
        """The parameters of the state, on the first worker; all workers get its numbers."""
        kinds: dict[str, Parameters] = {"arg": {}, "aux": {}, "momentum": self._momentum}

        def read() -> dict[str, Any]:
            arrays, numbers = read_state(self.path)
            with as_state(self.path):
                check_same_run(self.path, numbers["identity"], self.settings.identity)
                for key, array in arrays.items():
                    kind, _, name = key.partition(":")
                    kinds[kind][name] = array
                for name, array in self._momentum.items():
                    if array.shape != kinds["arg"][name].shape:
                        raise ValueError(f"momentum of {name}")
            return numbers

        self._numbers = self.workers.from_first(read)
        return kinds["arg"], kinds["aux"]

    @property
    def finished_steps(self) -> int:
        """Batches that the run has already trained on, known after `bind`."""
        if self._numbers is None:
            return 0
        with as_state(self.path):
            return int(self._numbers["step"])

    def _restore(self, milestones: Milestones) -> Progress:
        """Where to start; restores data order, counters and generators."""
        numbers = self._numbers
        if numbers is None:
            log.info("using --seed %d", self.seed)
            return Progress()
        with as_state(self.path):
            self.rate_factor = float(numbers.get("rate_factor", 1.0))
            self.train_data.restore(numbers["data"])
            milestones.restore(numbers["milestones"])
            self.seed = self.trainer.classifier.seed = int(numbers["seed"])
            progress = Progress(*(int(numbers[name]) for name in ("epoch", "nbatch", "step")))
        seed_generators(self.seed, progress.step)
        log.info("resuming after batch %d, from %s", progress.step, self.path)
        return progress

    def _save_state(
        self, trainer: Trainer, progress: Progress, milestones_state: dict[str, Any]
    ) -> None:
        """Writes everything that `_restore` needs; all workers take part."""
        # MXNet has no public API for the state of its generator. So all generators are seeded again
        # here, in the same way as when the run is restored.
        seed_generators(self.seed, progress.step)
        trainer.average_statistics()
        arg_params, aux_params = trainer.parameters()
        kinds = {"arg": arg_params, "aux": aux_params, "momentum": trainer.momentum()}
        if not self.workers.is_first:
            return
        arrays = {
            f"{kind}:{name}": array
            for kind, named in kinds.items()
            for name, array in named.items()
        }
        numbers = {
            "identity": self.settings.identity,
            "seed": self.seed,
            "epoch": progress.epoch,
            "nbatch": progress.nbatch,
            "step": progress.step,
            "data": self.train_data.state(),
            "milestones": milestones_state,
            "rate_factor": self.rate_factor,
        }
        write_state(self.path, arrays, numbers)

    def train(
        self,
        make_optimizer: MakeOptimizer,
        schedule: Schedule,
        loss: Loss,
        verify: Verify,
        more_hooks: Sequence[Hook] = (),
    ) -> None:
        """Trains to the end, from the first batch or the one after the saved state.

        Parameters
        ----------
        make_optimizer
        verify
            Takes the trainer and a batch number; prints and returns the accuracies of the targets.
        more_hooks
            Called after the run's own hooks.

        Raises
        ------
        Diverged
            The message names the array, the batch, and the last good checkpoint.
        SystemExit
            A signal ended the run; its state is saved.
        """
        trainer, settings = self.trainer, self.settings
        milestones = Milestones(
            settings.verbose,
            lambda trainer, step: checked(trainer, step, verify),
            CheckpointRule(settings.ckpt),
            lambda trainer, number: trainer.save(settings.prefix, number),
            self._save_state,
            lambda number: self.workers.from_first(
                lambda: os.path.exists(params_path(settings.prefix, number))
            ),
        )
        progress = self._restore(milestones)
        milestones.write_missing(trainer, progress)
        rollbacks = 0
        while True:
            started_at = progress.step
            current = schedule._replace(base_rate=schedule.base_rate * self.rate_factor)
            trainer.init_optimizer(make_optimizer(current, progress.step), settings.kvstore)
            trainer.set_momentum(self._momentum)
            self._momentum.clear()  # the trainer has copies
            hooks = self._hooks(current, loss, milestones, more_hooks)
            metric = mx.metric.CompositeEvalMetric(trainer.classifier.metrics())
            try:
                if fit(trainer, self.train_data, metric, current, hooks, progress):
                    self._stop(progress, milestones)
                hooks.finish(trainer, progress)
                break
            except Diverged as error:
                advice = self._after_divergence(milestones, loss)
                rollbacks += 1
                if rollbacks > MOST_ROLLBACKS or not self._can_roll_back():
                    raise Diverged(f"{error}. {advice}") from None
                progress = self._roll_back(milestones, error)
                rollbacks = rollbacks if progress.step == started_at else 1
        self._name_best(milestones)

    def _hooks(
        self, schedule: Schedule, loss: Loss, milestones: Milestones, more_hooks: Sequence[Hook]
    ) -> Hooks:
        data = self.train_data
        return Hooks(
            [
                FiniteLoss(),
                *more_hooks,  # before the metrics are reset
                RateChange(schedule),
                SpeedLine(
                    data.batch_size * self.workers.count, schedule.last_step, data.wait_seconds
                ),
                RateLine(schedule),
                StepValueLine(loss),
                milestones,
                RemainingTime(schedule.last_step, self.settings.verbose),
            ]
        )

    def _can_roll_back(self) -> bool:
        """Whether `--on-nan rollback` is set, and the run has a state. `--ckpt 0` writes none."""
        settings = self.settings
        return settings.on_nan == ROLLBACK and settings.ckpt > 0 and self._has_state()

    def _roll_back(self, milestones: Milestones, error: Diverged) -> Progress:
        """Returns to the last state, with a lower learning rate; returns its progress."""
        factor = self.rate_factor * ROLLBACK_FACTOR
        self.trainer.load(*self._read())
        progress = self._restore(milestones)
        self.rate_factor = factor
        log.warning(
            "%s. --on-nan rollback: back to batch %d, with %g times the learning rate",
            error,
            progress.step,
            self.rate_factor,
        )
        return progress

    def _name_best(self, milestones: Milestones) -> None:
        """Logs the checkpoint to use."""
        if milestones.best_number:
            log.info(
                "best checkpoint: %s, of batch %d, with accuracy %.5f of the last target",
                params_path(self.settings.prefix, milestones.best_number),
                milestones.best_at,
                milestones.best_accuracy,
            )

    def _stop(self, progress: Progress, milestones: Milestones) -> None:
        """Ends the program after a signal."""
        if progress.step == 0:
            log.warning("stopped before the first batch; run the same command again")
        elif self.settings.ckpt:
            self._save_state(self.trainer, progress, milestones.state())
            log.warning(
                "stopped after batch %d; run the same command with --resume to continue",
                progress.step,
            )
        else:
            log.warning("stopped after batch %d; --ckpt 0 saves nothing", progress.step)
        raise SystemExit(INTERRUPTED)

    def _after_divergence(self, milestones: Milestones, loss: Loss) -> str:
        prefix, number = self.settings.prefix, milestones.saved_number
        good = params_path(prefix, number) if number else "none"
        return f"Last good checkpoint: {good}; {loss.remedy}"
