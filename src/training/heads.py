"""What stands on the embedding in training: classification with a margin, or the triplet loss."""

import json

from src.common.mxnet_backend import mx
from src.symbols.symbol_utils import INPUT_SHAPE
from src.training.margins import (
    arc_margin,
    check_margins,
    combined_margin,
    cosine_margin,
    multiplied_angle,
)

# The nodes that hold SphereFace's beta, the own class's logit, and what the margin adds to it.
BETA = "fc7_beta"
OWN = "fc7_own"
DIFFERENCE = "fc7_difference"

# SphereFace takes the lengths of embeddings as they are. The square of this and 512 times that are
# float32 numbers still, and so is the square of its inverse.
LARGEST_COMPONENT = 1e15


def own_logits(logits, label):
    """Each row's entry at `label`, (N,), of `logits` (N, C)."""
    return mx.sym.pick(logits, label, axis=1, name=OWN)


def shift_target(logits, own, target, label, num_classes):
    """`logits` (N, C) with each row's entry at `label` moved from `own` to `target` (N,).

    Written as in 2018, by a one-hot mask, so that MXNet of then reads the graph. What is trained is
    `trained_form`.
    """
    difference = mx.sym.elemwise_sub(target, own, name=DIFFERENCE)
    mask = mx.sym.one_hot(label, depth=num_classes, on_value=1.0, off_value=0.0)
    return logits + mx.sym.broadcast_mul(mask, mx.sym.expand_dims(difference, axis=1))


def replace_target(logits, target, label, num_classes):
    """The same without a mask: one array of (N, C) forward, two backward."""
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


def length_of(embedding):
    """|x| (N,) of embeddings (N, D); never 0, and its gradient is finite for any finite x."""
    squared = mx.sym.sum(mx.sym.square(embedding), axis=1)
    return mx.sym.sqrt(mx.sym.maximum(squared, LARGEST_COMPONENT**-2))


def in_training(like):
    """1 in a forward for training, 0 otherwise, in the shape of `like`: dropout tells them apart.

    A module that is bound without gradients is never in training.
    """
    return mx.sym.Dropout(mx.sym.ones_like(like), p=0.5) != 1.0


def sphere_logits(embedding, num_classes, weight, label, margin, beta):
    """Loss 1: |x|·cos θ, (N, C), with the own class's margin: SphereFace (arXiv 1704.08063).

    The own class's logit is (beta·|x|·cos θ + |x|·ψ(θ)) / (1 + beta), ψ being `multiplied_angle`:
    training begins with a large beta, near the softmax. 2018: without the margin outside training.

    Parameters
    ----------
    embedding, weight, label : Symbol
        (N, D), (C, D), (N,); the embedding keeps its length, the class vectors are normalised.
    margin : {1, 2, 3, 4}
    beta : float
        Stands in the graph as the constant `fc7_beta`; `trained_form` makes an input of it.
    """
    embedding = mx.sym.clip(embedding, -LARGEST_COMPONENT, LARGEST_COMPONENT)
    unit_weight = mx.sym.L2Normalization(weight, mode="instance")
    logits = mx.sym.FullyConnected(
        embedding, unit_weight, num_hidden=num_classes, no_bias=True, name="fc7"
    )
    own = own_logits(logits, label)
    length = length_of(embedding)
    margined = length * multiplied_angle(own / length, margin)
    beta = mx.sym.full(shape=(1,), val=beta, name=BETA)
    annealed = mx.sym.broadcast_div(mx.sym.broadcast_mul(own, beta) + margined, 1.0 + beta)
    target = mx.sym.where(in_training(own), annealed, own)
    return shift_target(logits, own, target, label, num_classes)


def probabilities_of(logits, label):
    """Softmax (N, C); the gradient is that of the batch's mean cross entropy."""
    return mx.sym.SoftmaxOutput(logits, label, name="softmax", normalization="valid")


def trained_form(symbol):
    """The function and gradient of a classification head's graph, in the form to be bound.

    The margin takes fewer arrays of (N, C), see `replace_target`, and SphereFace's beta is an input
    `fc7_beta` (N,), so that it can change from batch to batch: as an input and not a parameter it
    is divided among devices like the labels, has no gradient and no decay, and is in no checkpoint.
    Other graphs come back as they are.
    """
    nodes = symbol.get_internals()
    if f"{DIFFERENCE}_output" not in nodes.list_outputs():
        return symbol
    logits, label = nodes["fc7_output"], nodes["softmax_label"]
    target = nodes[f"{OWN}_output"] + nodes[f"{DIFFERENCE}_output"]
    num_classes = int(symbol.attr_dict()["fc7"]["num_hidden"])
    logits = replace_target(logits, target, label, num_classes)
    return with_beta_input(mx.sym.Group([symbol[0], probabilities_of(logits, label)]))


def with_beta_input(symbol):
    """The same graph with an input in place of the constant `fc7_beta`."""
    graph = json.loads(symbol.tojson())
    for node in graph["nodes"]:
        if node["name"] == BETA and node["op"] != "null":
            node["op"] = "null"
            node.pop("attrs", None)
    graph["arg_nodes"] = [i for i, node in enumerate(graph["nodes"]) if node["op"] == "null"]
    return mx.sym.load_json(json.dumps(graph))


def margin_of(loss_type, margin_m, margin_a, margin_b, easy_margin):
    """The function from cos θ of the target class to its cosine with the margin; None for none."""
    if loss_type == 2:
        return lambda cosine: cosine_margin(cosine, margin_m)
    if loss_type == 4:
        return lambda cosine: arc_margin(cosine, margin_m, easy_margin)
    if (margin_a, margin_m, margin_b) == (1.0, 0.0, 0.0):
        return None
    return lambda cosine: combined_margin(cosine, margin_a, margin_m, margin_b)


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
    margin=4,
    beta=1000.0,
):
    """Group of the embedding (no gradient) and the class probabilities, as 2018 trained.

    The outputs are `blockgrad0_output` (N, D) and `softmax_output` (N, C); beside the embedding's
    own inputs there are `fc7_weight` (C, D), for loss 0 `fc7_bias` (C,), and `softmax_label` (N,).

    Arrays of (N, C) that are written in a step, in the graph that `trained_form` gives: 2 forward
    and 1 backward by the bare softmax (logits, probabilities, gradient); a margin adds 1 forward
    (the logits with the own class's replaced) and 2 backward (the gradient to those, and the own
    class's by itself, summed in place). At most 2 more exist at a time. Normalising the class
    vectors writes 1 array of (C, D) forward and 1 backward. `benchmarks/margin.py` measures what
    all this costs.

    Parameters
    ----------
    embedding : Symbol
        (N, D).
    num_classes : int
        C.
    loss_type : {0, 1, 2, 4, 5}
        0 softmax, 1 SphereFace, 2 CosineFace, 4 ArcFace, 5 combined.
    margin_s : float
        Scale of the logits, for 2, 4 and 5.
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
    margin, beta : int, float
        For 1, see `sphere_logits`.

    Raises
    ------
    InputError
        For another loss, or a margin that its formula does not hold for.
    """
    check_margins(loss_type, margin_s, margin_m, margin_a, margin_b, margin, beta)
    label = mx.sym.var("softmax_label")
    # One vector a class; L2Normalization cannot infer its shape.
    shape = (num_classes, embedding_size or size_of(embedding))
    weight = mx.sym.var("fc7_weight", shape=shape, lr_mult=fc7_lr_mult, wd_mult=fc7_wd_mult)
    if loss_type == 0:
        logits = plain_logits(embedding, num_classes, weight, fc7_no_bias)
    elif loss_type == 1:
        logits = sphere_logits(embedding, num_classes, weight, label, margin, beta)
    else:
        logits = cosine_logits(embedding, num_classes, weight, margin_s)
        with_margin = margin_of(loss_type, margin_m, margin_a, margin_b, easy_margin)
        if with_margin is not None:
            own = own_logits(logits, label)
            target = with_margin(own / margin_s) * margin_s
            logits = shift_target(logits, own, target, label, num_classes)
    features = mx.sym.BlockGrad(embedding, name="blockgrad0")
    return mx.sym.Group([features, probabilities_of(logits, label)])


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
