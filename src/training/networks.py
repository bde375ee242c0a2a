"""From `--network` to the symbol of its embedding, and to its initialiser."""

import contextlib
import io
import logging
import re

from src.common.errors import InputError
from src.common.mxnet_backend import mx
from src.symbols import (
    fdensenet,
    fdpn,
    finception_resnet_v2,
    fmobilefacenet,
    fmobilenet,
    fmobilenetv2,
    fnasnet,
    fresnet,
    fxception,
    spherenet,
)
from src.symbols.symbol_utils import INPUT_SHAPE

log = logging.getLogger(__name__)


def build_mobilenet(num_classes, num_layers, **versions):
    """2018: m1 is MobileNet, every other m number MobileNetV2."""
    module = fmobilenet if num_layers == 1 else fmobilenetv2
    return module.get_symbol(num_classes, num_layers=num_layers, **versions)


# Letter of --network -> get_symbol(num_classes, num_layers, **versions).
BUILDERS = {
    "r": fresnet.get_symbol,
    "y": fmobilefacenet.get_symbol,
    "m": build_mobilenet,
    "d": fdensenet.get_symbol,
    "p": fdpn.get_symbol,
    "i": finception_resnet_v2.get_symbol,
    "x": fxception.get_symbol,
    "n": fnasnet.get_symbol,
    "s": spherenet.get_symbol,
}

# Xavier's settings by letter; a letter that is not here takes DEFAULT_XAVIER.
XAVIER = {
    "r": {"rnd_type": "gaussian", "factor_type": "out", "magnitude": 2},
    "y": {"rnd_type": "gaussian", "factor_type": "out", "magnitude": 2},
    "i": {"rnd_type": "gaussian", "factor_type": "in", "magnitude": 2},
    "x": {"rnd_type": "gaussian", "factor_type": "in", "magnitude": 2},
}
DEFAULT_XAVIER = {"rnd_type": "uniform", "factor_type": "in", "magnitude": 2}


def parse_network(network):
    """('r', 50) of 'r50': the builder's letter and its number of layers or version.

    Raises
    ------
    InputError
        For another letter, or without a number.
    """
    match = re.fullmatch(r"([a-z])([0-9]+)", network)
    if not match or match[1] not in BUILDERS:
        raise InputError(
            f"--network {network}: expected a letter of {', '.join(BUILDERS)} and a number, "
            "as in r50 or y1"
        )
    return match[1], int(match[2])


def build_embedding(
    network="y1",
    embedding_size=128,
    version_se=0,
    version_input=1,
    version_output="E",
    version_unit=3,
    version_act="prelu",
    bn_mom=0.9,
):
    """The network up to its embedding: a symbol with the output `fc1_output`, (N, embedding_size).

    Its only inputs are `data`, (N, 3, H, W), RGB 0..255, and its parameters.

    Parameters
    ----------
    network : str
        A letter and a number: r50, m1, d121.
    embedding_size : int
    version_se, version_input, version_output, version_unit, version_act
        The flags `--version-*`; a network ignores those that it does not have.
    bn_mom : float
        Momentum of the batch normalisations. 2018: --bn-mom reached the networks y alone, the
        others had its default; the cells of the networks n have another one, which stays.

    Raises
    ------
    InputError
        For a combination that cannot be built, naming what is possible.
    """
    letter, number = parse_network(network)
    if embedding_size < 1:
        raise InputError(f"--emb-size {embedding_size}: expected a whole number from 1 on")
    embedding = BUILDERS[letter](
        num_classes=embedding_size,
        num_layers=number,
        version_se=version_se,
        version_input=version_input,
        version_output=version_output,
        version_unit=version_unit,
        version_act=version_act,
        bn_mom=bn_mom,
    )
    size = inferred_size(embedding, f"--network {network} --version-output {version_output}")
    if size != embedding_size:
        raise InputError(
            f"--emb-size {embedding_size}: {network} with --version-output {version_output} gives "
            f"embeddings of {size} numbers; say --emb-size {size}, or take another head"
        )
    return embedding


def inferred_size(embedding, flags):
    """Numbers in one embedding of a 112×112 photo; InputError where the layers do not fit."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # MXNet prints the shapes it was given
            _, (shape,), _ = embedding.infer_shape(data=INPUT_SHAPE)
    except mx.base.MXNetError as error:
        reason = str(error).strip().splitlines()[-1].split("Check failed: ")[-1]
        raise InputError(
            f"{flags}: the head does not fit the network's last layer ({reason}); "
            "take another --version-output, or --version-input 1"
        ) from error
    return shape[1]


def adopt_parameters(symbol, arg_params):
    """`arg_params` of a checkpoint under the names that `symbol` has for them.

    The published MobileFaceNet calls the weight of its layer pre_fc1 `fc1_weight`; taken as it is,
    that layer would be drawn anew.

    Parameters
    ----------
    symbol : Symbol
        What is to be trained.
    arg_params : dict of str to NDArray, or None
        As loaded; it is left as it is.
    """
    wanted = symbol.list_arguments()
    if not arg_params or "fc1_weight" not in arg_params or "pre_fc1_weight" in arg_params:
        return arg_params
    if "fc1_weight" in wanted or "pre_fc1_weight" not in wanted:
        return arg_params
    log.info("the checkpoint's fc1_weight is taken for pre_fc1_weight")
    return {
        "pre_fc1_weight" if name == "fc1_weight" else name: array
        for name, array in arg_params.items()
    }


def initializer(network):
    """The initialiser of a network's parameters: Xavier, of the kind that its letter had in 2018.

    Raises
    ------
    InputError
        For an unknown network.
    """
    letter, _ = parse_network(network)
    return mx.init.Xavier(**XAVIER.get(letter, DEFAULT_XAVIER))
