"""When the learning rate falls, how long a run takes, and which loss it starts from."""

import math
from typing import NamedTuple

# 2018: for batches of 512 images; other batch sizes see as many images between the steps.
SOFTMAX_STEPS = (40000, 60000, 80000)
MARGIN_STEPS = (100000, 140000, 160000)
MARGIN_LOSSES = range(1, 8)
TRIPLET_LOSS = 12
REFERENCE_BATCH = 512
DROP = 0.1


def learning_rate_steps(text, loss_type, batch_size):
    """Batch numbers after which the learning rate falls to a tenth.

    Parameters
    ----------
    text : str
        `--lr-steps`: a comma list; '' means 2018's own for that loss.
    loss_type : int
    batch_size : int
        Over all devices.
    """
    if text.strip():
        return [int(part) for part in text.split(",")]
    if loss_type == TRIPLET_LOSS:
        return []
    steps = MARGIN_STEPS if loss_type in MARGIN_LOSSES else SOFTMAX_STEPS
    return [int(step * REFERENCE_BATCH / batch_size) for step in steps]


class Schedule(NamedTuple):
    """Learning rate by batch, and the end of a run.

    `batches_per_epoch` is None where epochs differ; `max_steps` 0 means no limit; `beta_freeze`
    shifts the steps, as SphereFace's annealing does.
    """

    base_rate: float
    steps: list
    batches_per_epoch: int | None
    end_epoch: int
    max_steps: int = 0
    beta_freeze: int = 0

    def rate(self, step):
        """Learning rate of the given batch; the first is 1."""
        falls = sum(step > fall + self.beta_freeze for fall in self.steps)
        return self.base_rate * DROP**falls

    def falls_after(self, step):
        """Whether the learning rate is another one from the next batch on."""
        return step - self.beta_freeze in self.steps

    @property
    def last_step(self):
        """The number of batches when all goes to its end; infinite where only epochs limit it."""
        by_steps = self.max_steps if self.max_steps > 0 else math.inf
        if self.batches_per_epoch is None:
            return by_steps
        return min(by_steps, self.batches_per_epoch * self.end_epoch)


def describe(schedule, images, batch_size):
    """Lines that say, before the first batch, how the run will go.

    Parameters
    ----------
    schedule : Schedule
    images : int
        In an epoch, or in a bag to mine triplets from.
    batch_size : int
    """
    last = schedule.last_step
    lines = [f"batches of {batch_size}; epochs of what a bag of {images} images gives"]
    if schedule.batches_per_epoch is not None:
        batches = schedule.batches_per_epoch
        lines = [f"{images} images, {batches} batches of {batch_size} an epoch"]
    by_steps = last == schedule.max_steps
    end = f"--max-steps {schedule.max_steps}" if by_steps else f"--end-epoch {schedule.end_epoch}"
    if math.isfinite(last) and schedule.batches_per_epoch is not None:
        epochs = last / schedule.batches_per_epoch
        end = f"batch {last}, after {epochs:.4g} epochs, by {end}"
    lines.append(f"the run ends with {end}")
    falls = [step + schedule.beta_freeze for step in schedule.steps]
    inside = [step for step in falls if step < last]
    rates = ", ".join(f"{schedule.rate(step + 1):.6g} after batch {step}" for step in inside)
    rate = f"learning rate {schedule.base_rate:g}, {rates or 'the same to the end'}"
    if len(inside) < len(falls):
        later = ", ".join(str(step) for step in falls[len(inside) :])
        rate += f" (the run ends before batch {later})"
    return [*lines, rate]


def own_class_logit(loss_type, margin_s, margin_m, margin_a, margin_b):
    """Logit of an image's own class while its embedding has no direction yet (angle π/2)."""
    right_angle = math.pi / 2
    return {
        2: -margin_s * margin_m,
        4: margin_s * math.cos(right_angle + margin_m),
        5: margin_s * (math.cos(margin_a * right_angle + margin_m) - margin_b),
    }[loss_type]


def loss_at_start(loss_type, num_classes, emb_size, margins):
    """Loss to expect of an untrained network, to within some 10 %.

    A softmax that knows nothing gives ln C. With a margin the own class starts behind by it, and
    the logits of the n others, s·cosθ, are about normal of deviation s/√D. The logarithm of the sum
    of their exponentials is ln n + s²/2D as long as the mean of such a sum is made by many; beyond
    s/√D = √(2 ln n) the largest alone makes it (Derrida's random energy model, 1981).

    Parameters
    ----------
    loss_type : {0, 2, 4, 5}
    num_classes, emb_size : int
    margins : (float, float, float, float)
        s, m, a, b.
    """
    if loss_type == 0:
        return math.log(num_classes)
    entropy = math.log(max(num_classes - 1, 1))
    deviation = margins[0] / math.sqrt(emb_size)
    limit = math.sqrt(2 * entropy)
    others = deviation * limit if deviation > limit else entropy + deviation**2 / 2
    behind = others - own_class_logit(loss_type, *margins)
    # ln(1 + exp(behind)), without overflow
    return max(behind, 0.0) + math.log1p(math.exp(-abs(behind)))
