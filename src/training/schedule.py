"""How learning rate and SphereFace's beta fall, how long a run takes, and its first loss."""

import math
from typing import NamedTuple

from src.common.errors import InputError

# 2018: for batches of 512 images; other batch sizes see as many images between the steps.
SOFTMAX_STEPS = (40000, 60000, 80000)
MARGIN_STEPS = (100000, 140000, 160000)
MARGIN_LOSSES = range(1, 8)
SPHERE_LOSS = 1
TRIPLET_LOSS = 12
REFERENCE_BATCH = 512
DROP = 0.1

# 2018: with more classes than this, SphereFace takes these two in place of the flags.
MANY_CLASSES = 20000
MANY_CLASSES_FREEZE, MANY_CLASSES_GAMMA = 5000, 0.06


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


class Annealing(NamedTuple):
    """SphereFace's beta by batch: the larger, the nearer is its loss to the softmax.

    The fields are the flags `--beta --beta-min --beta-freeze --gamma --power`.
    """

    start: float
    minimum: float
    freeze: int
    gamma: float
    power: float

    def beta(self, step):
        """Beta of the given batch; the first is 1.

        2018: it is set after a batch, by the number of that batch, so that it is in force from the
        next one on.
        """
        move = step - 1 - self.freeze
        if move <= 0:
            return self.start
        return max(self.minimum, self.start * (1 + self.gamma * move) ** -self.power)


def check_annealing(annealing):
    """InputError for numbers that beta's formula does not hold for."""
    flags = ("--beta", "--beta-min", "--beta-freeze", "--gamma", "--power")
    for flag, value in zip(flags, annealing, strict=True):
        if not 0 <= value < math.inf:
            raise InputError(f"{flag} {value:g}: expected a number from 0 on")


class Schedule(NamedTuple):
    """Learning rate and beta by batch, and the end of a run.

    `batches_per_epoch` is None where epochs differ; `max_steps` 0 means no limit; `beta_freeze`
    shifts the steps, whatever the loss; `annealing` is None but for SphereFace.
    """

    base_rate: float
    steps: list
    batches_per_epoch: int | None
    end_epoch: int
    max_steps: int = 0
    beta_freeze: int = 0
    annealing: Annealing | None = None

    def beta(self, step):
        """SphereFace's beta of the given batch; None for other losses."""
        return None if self.annealing is None else self.annealing.beta(step)

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
    lines.append(rate)
    if schedule.annealing is not None:
        lines.append(describe_beta(schedule.annealing))
    return lines


def describe_beta(annealing):
    """A line that says how beta will go."""
    begins = f"SphereFace's beta {annealing.start:g}"
    changes = annealing.freeze + 2
    if annealing.start < annealing.minimum:
        # 2018: taken as it is, so that the minimum is what beta rises to.
        return f"{begins}, then {annealing.minimum:g}, its minimum, from batch {changes} on"
    return f"{begins}, falling to no less than {annealing.minimum:g} from batch {changes} on"


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
    return loss_behind(num_classes, emb_size, margins[0], own_class_logit(loss_type, *margins))


def sphere_loss_at_start(num_classes, emb_size, margin, beta):
    """The same for SphereFace, whose logits |x|·cosθ have the embedding's own length.

    Batch normalisation, which ends most networks here, makes that √D; after other last layers the
    loss begins elsewhere.
    """
    scale = math.sqrt(emb_size)
    # ψ(π/2) = 1 - m, see `margins.multiplied_angle`
    return loss_behind(num_classes, emb_size, scale, scale * (1 - margin) / (1 + beta))


def loss_behind(num_classes, emb_size, scale, own_logit):
    """Loss where the own class has the logit `own_logit` and the others scale·cosθ, θ at random."""
    entropy = math.log(max(num_classes - 1, 1))
    deviation = scale / math.sqrt(emb_size)
    limit = math.sqrt(2 * entropy)
    others = deviation * limit if deviation > limit else entropy + deviation**2 / 2
    behind = others - own_logit
    # ln(1 + exp(behind)), without overflow
    return max(behind, 0.0) + math.log1p(math.exp(-abs(behind)))
