"""What stands on the embedding in training: classification with a margin, or the triplet loss."""

import math

from src.common.errors import InputError
from src.common.mxnet_backend import mx
from src.symbols.symbol_utils import INPUT_SHAPE

# 1, SphereFace, has its place here.
CLASSIFICATION_LOSSES = {0: "softmax", 2: "CosineFace", 4: "ArcFace", 5: "combined margin"}

# Below the smallest 1 - cos² > 0 that float32 knows (about 6e-8): it changes no value, and keeps
# the gradient of the root finite where the sine is 0.
SMALLEST_SINE_SQUARED = 1e-14


def safe_sine(cosine):
    """sqrt(1 - cos²), for any finite cosine; its gradient is 0 where the sine is."""
    return mx.sym.sqrt(mx.sym.maximum(1.0 - cosine * cosine, SMALLEST_SINE_SQUARED))


def safe_angle(cosine):
    """arccos, in 0..π, for any finite cosine; its gradient is 0 at both ends and beyond."""
    inside = mx.sym.abs(cosine) < 1.0
    return mx.sym.where(
        inside, mx.sym.arccos(mx.sym.where(inside, cosine, cosine * 0.0)), (cosine < 0.0) * math.pi
    )


def cosine_margin(cosine, margin_m):
    """cos θ - m: CosFace (Wang et al., arXiv 1801.09414, equation 4)."""
    return cosine - margin_m


def arc_margin(cosine, margin_m, easy_margin=False):
    """cos(θ + m): ArcFace (Deng et al., arXiv 1801.07698, equation 3), without an arccos.

    Where θ + m passes π, cos(θ + m) would rise again; there the margin is cos θ - m·sin(π - m).
    With `easy_margin` there is no margin for θ from 90° on.
    """
    shifted = cosine * math.cos(margin_m) - safe_sine(cosine) * math.sin(margin_m)
    if easy_margin:
        return mx.sym.where(cosine > 0.0, shifted, cosine)
    fallback = cosine - margin_m * math.sin(math.pi - margin_m)
    return mx.sym.where(cosine > math.cos(math.pi - margin_m), shifted, fallback)


def combined_margin(cosine, margin_a, margin_m, margin_b):
    """cos(a·θ + m) - b, which the ArcFace paper calls combined (equation 4)."""
    if margin_a == 1.0 and margin_m == 0.0:
        return cosine - margin_b
    return mx.sym.cos(safe_angle(cosine) * margin_a + margin_m) - margin_b


def replace_target(logits, target, label, num_classes):
    """`logits` (N, C) with each row's entry at `label` replaced by `target` (N,).

    One copy of (N, C) going forward and one going back; a one-hot mask would make three of each.
    """
    # index_copy hands garbage back to its index, and does not check it.
    label = mx.sym.clip(mx.sym.BlockGrad(label), 0, num_classes - 1)
    column = mx.sym.cast(label, dtype="int64")
    row = mx.sym.cast(mx.sym.contrib.arange_like(logits, axis=0), dtype="int64")
    changed = mx.sym.contrib.index_copy(
        mx.sym.reshape(logits, shape=(-1, 1)),
        row * num_classes + column,
        mx.sym.reshape(target, shape=(-1, 1)),
    )
    return mx.sym.reshape(changed, shape=(-1, num_classes))


def size_of(embedding):
    """D of a network's embedding (N, D)."""
    _, (shape,), _ = embedding.infer_shape(data=INPUT_SHAPE)
    return shape[1]


def plain_logits(embedding, num_classes, weight, fc7_no_bias):
    """Loss 0: W·x + b, (N, C)."""
    if fc7_no_bias:
        return mx.sym.FullyConnected(
            embedding, weight, num_hidden=num_classes, no_bias=True, name="fc7"
        )
    bias = mx.sym.var("fc7_bias", lr_mult=2.0, wd_mult=0.0)
    return mx.sym.FullyConnected(embedding, weight, bias, num_hidden=num_classes, name="fc7")


def cosine_logits(embedding, num_classes, weight, margin_s):
    """s·cos θ, (N, C): embedding and class vectors on the unit sphere, then scaled."""
    scaled = mx.sym.L2Normalization(embedding, mode="instance", name="fc1n") * margin_s
    unit_weight = mx.sym.L2Normalization(weight, mode="instance")
    return mx.sym.FullyConnected(
        scaled, unit_weight, num_hidden=num_classes, no_bias=True, name="fc7"
    )


def margin_of(loss_type, margin_m, margin_a, margin_b, easy_margin):
    """The function from cos θ of the target class to its cosine with the margin; None for none."""
    if loss_type == 2:
        return lambda cosine: cosine_margin(cosine, margin_m)
    if loss_type == 4:
        return lambda cosine: arc_margin(cosine, margin_m, easy_margin)
    if (margin_a, margin_m, margin_b) == (1.0, 0.0, 0.0):
        return None
    return lambda cosine: combined_margin(cosine, margin_a, margin_m, margin_b)


def check_margins(loss_type, margin_s, margin_m):
    """InputError for margins outside of what the formulas hold for."""
    if loss_type not in CLASSIFICATION_LOSSES:
        raise InputError(
            f"--loss-type {loss_type}: expected one of "
            + ", ".join(f"{number} ({name})" for number, name in CLASSIFICATION_LOSSES.items())
        )
    if loss_type == 0:
        return
    if not margin_s > 0:
        raise InputError(f"--margin-s {margin_s}: expected a scale above 0, 64 as a rule")
    if loss_type == 4 and not 0 <= margin_m < math.pi / 2:
        raise InputError(f"--margin-m {margin_m}: expected an angle in 0..1.57, 0.5 as a rule")
    if loss_type == 2 and margin_m < 0:
        raise InputError(f"--margin-m {margin_m}: expected 0 or more, 0.35 as a rule")


def classification_head(
    embedding,
    num_classes,
    loss_type=4,
    margin_s=64.0,
    margin_m=0.5,
    margin_a=1.0,
    margin_b=0.0,
    easy_margin=False,
    fc7_wd_mult=1.0,
    fc7_lr_mult=1.0,
    fc7_no_bias=False,
    embedding_size=None,
):
    """Group of the embedding (no gradient) and the class probabilities, as 2018 trained.

    The outputs are `blockgrad0_output` (N, D) and `softmax_output` (N, C); beside the embedding's
    own inputs there are `fc7_weight` (C, D), for loss 0 `fc7_bias` (C,), and `softmax_label` (N,).
    In training the margin costs one array of (N, C) forward and one backward, beside the logits
    and the probabilities.

    Parameters
    ----------
    embedding : Symbol
        (N, D).
    num_classes : int
        C.
    loss_type : {0, 2, 4, 5}
        0 softmax, 2 CosineFace, 4 ArcFace, 5 combined.
    margin_s : float
        Scale of the logits.
    margin_m, margin_a, margin_b : float
        The target's logit: s·(cos θ - m) for 2, s·cos(θ + m) for 4, s·(cos(a·θ + m) - b) for 5.
    easy_margin : bool
        For 4, see `arc_margin`.
    fc7_wd_mult, fc7_lr_mult : float
        Factors to the weight decay and the learning rate of `fc7_weight`.
    fc7_no_bias : bool
        Leaves `fc7_bias` out; the margin losses never have it.
    embedding_size : int or None
        D; None asks a network's symbol for it.

    Raises
    ------
    InputError
        For another loss, or a margin that its formula does not hold for.
    """
    check_margins(loss_type, margin_s, margin_m)
    label = mx.sym.var("softmax_label")
    # One vector a class; L2Normalization cannot infer its shape.
    shape = (num_classes, embedding_size or size_of(embedding))
    weight = mx.sym.var("fc7_weight", shape=shape, lr_mult=fc7_lr_mult, wd_mult=fc7_wd_mult)
    if loss_type == 0:
        logits = plain_logits(embedding, num_classes, weight, fc7_no_bias)
    else:
        logits = cosine_logits(embedding, num_classes, weight, margin_s)
        margin = margin_of(loss_type, margin_m, margin_a, margin_b, easy_margin)
        if margin is not None:
            cosine = mx.sym.pick(logits, label, axis=1) / margin_s
            logits = replace_target(logits, margin(cosine) * margin_s, label, num_classes)
    probabilities = mx.sym.SoftmaxOutput(logits, label, name="softmax", normalization="valid")
    return mx.sym.Group([mx.sym.BlockGrad(embedding, name="blockgrad0"), probabilities])


def triplet_head(embedding, alpha):
    """Group of the embedding, the labels (neither with a gradient) and the triplet loss.

    mean(max(0, |a - p|² - |a - n|² + alpha)) over the triplets (FaceNet, arXiv 1503.03832,
    equation 2), of embeddings on the unit sphere. The outputs are `blockgrad0_output` (N, D),
    `blockgrad1_output` (N,) and the loss (1,).

    Parameters
    ----------
    embedding : Symbol
        (N, D), N a multiple of 3 on each device: first all anchors, then all positives, then all
        negatives, in the same order.
    alpha : float
        By how much the negative must be farther than the positive.
    """
    unit = mx.sym.L2Normalization(embedding, mode="instance", name="fc1n")
    # (N/3, D) each
    anchor, positive, negative = mx.sym.split(unit, axis=0, num_outputs=3)
    to_positive = mx.sym.sum(mx.sym.square(anchor - positive), axis=1)
    to_negative = mx.sym.sum(mx.sym.square(anchor - negative), axis=1)
    loss = mx.sym.mean(mx.sym.relu(to_positive - to_negative + alpha))
    return mx.sym.Group(
        [
            mx.sym.BlockGrad(embedding, name="blockgrad0"),
            mx.sym.BlockGrad(mx.sym.var("softmax_label"), name="blockgrad1"),
            mx.sym.MakeLoss(loss, name="makeloss0"),
        ]
    )
