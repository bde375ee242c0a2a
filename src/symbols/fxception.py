"""Xception (Chollet, arXiv 1610.02357, figure 5) of half its width, any number.

The number behind the letter (x1, x2, …) has no effect, as in 2018.

In 2018 a depthwise convolution was one convolution a channel, each with a weight and a bias of its
own, and checkpoints have their 23,000 names. So it is here, and what is saved is that very graph;
what is bound is another with one grouped convolution instead, see `channel_groups`.
"""

from src.common.mxnet_backend import mx
from src.symbols.symbol_utils import activation, batch_norm, get_fc1, scaled_pixels
from src.symbols.versions import check_version

MIDDLE_BLOCKS = 8
# Channels by --version-input: of the first two convolutions, of each block of the entry flow, and
# in the exit flow of its block and of the two separable convolutions behind it.
HALF_WIDTH = ((32, 64), (64, 128, 364), (512, 768, 1024))
PAPER_WIDTH = ((32, 64), (128, 256, 728), (1024, 1536, 2048))
CHANNELS = {0: HALF_WIDTH, 1: HALF_WIDTH, 2: PAPER_WIDTH}


def convolution(data, num_filter, name, kernel=1, stride=1):
    """Convolution with bias: (N, C, H, W) -> (N, num_filter, H/stride, W/stride)."""
    return mx.sym.Convolution(
        data,
        num_filter=num_filter,
        kernel=(kernel, kernel),
        stride=(stride, stride),
        pad=(kernel // 2, kernel // 2),
        name=f"{name}_conv2d",
    )


def normalised_convolution(data, num_filter, name, bn_mom, kernel=1, stride=1):
    """Convolution and batch normalisation."""
    body = convolution(data, num_filter, name, kernel, stride)
    return batch_norm(body, f"{name}_bn", bn_mom)


def depthwise_convolution(data, channels, name):
    """Each channel with its own 3×3 and bias, as 2018 wrote it: (N, channels, H, W) both times."""
    apart = mx.sym.SliceChannel(data, num_outputs=channels, axis=1)
    convolved = [
        mx.sym.Convolution(
            apart[channel], num_filter=1, kernel=(3, 3), pad=(1, 1), name=f"{name}_{channel}"
        )
        for channel in range(channels)
    ]
    return mx.sym.concat(*convolved, dim=1, name=name)


def separable(data, channels, num_filter, name, bn_mom):
    """Depthwise convolution, convolution of 1×1, BN: (N, channels, H, W) -> (N, num_filter, H, W).

    There is nothing between the two convolutions (the paper's figure 10).
    """
    body = depthwise_convolution(data, channels, f"{name}_depthwise_kernel")
    body = convolution(body, num_filter, f"{name}_pointwise_kernel")
    return batch_norm(body, f"{name}_bn", bn_mom)


def activated_separable(data, channels, num_filter, name, bn_mom):
    """ReLU and `separable`."""
    return separable(activation(data, f"{name}_relu", "relu"), channels, num_filter, name, bn_mom)


def halving_block(data, widths, name, bn_mom, activated=True):
    """Two separable convolutions and a pooling, and a convolution beside them, summed.

    Parameters
    ----------
    data : Symbol
        (N, C, H, W)
    widths : tuple of 3 ints
        Channels before, between and after the separable convolutions.
    activated : bool
        Whether ReLU comes first.

    Returns
    -------
    Symbol
        (N, widths[2], H/2, W/2)
    """
    before, between, after = widths
    first = activated_separable if activated else separable
    body = first(data, before, between, f"{name}_sepconv1", bn_mom)
    body = activated_separable(body, between, after, f"{name}_sepconv2", bn_mom)
    body = mx.sym.Pooling(
        body, kernel=(3, 3), stride=(2, 2), pad=(1, 1), pool_type="max", name=f"{name}_pool"
    )
    return body + normalised_convolution(data, after, f"{name}_conv1", bn_mom, stride=2)


def entry_flow(channels, blocks, stride, bn_mom):
    """Pixels (N, 3, 112, 112) -> (N, blocks[-1], 14, 14); (N, blocks[-1], 7, 7) at stride 2."""
    data = scaled_pixels(mx.sym.var("data"))
    for number, num_filter in enumerate(channels, 1):
        name = f"Entry_flow_b1_conv{number}"
        data = normalised_convolution(
            data, num_filter, name, bn_mom, kernel=3, stride=stride if number == 1 else 1
        )
        data = activation(data, f"{name}_relu", "relu")
    before = channels[-1]
    for number, num_filter in enumerate(blocks, 2):
        widths = (before, num_filter, num_filter)
        # The first block's input is activated already.
        data = halving_block(data, widths, f"Entry_flow_b{number}", bn_mom, number > 2)
        before = num_filter
    return data


def middle_flow(data, channels, bn_mom):
    """Residual blocks of three separable convolutions; keeps the shape of data."""
    for block in range(MIDDLE_BLOCKS):
        body = data
        for number in (1, 2, 3):
            name = f"Middle_flow_block_{block}_sepconv{number}"
            body = activated_separable(body, channels, channels, name, bn_mom)
        data = body + data
    return data


def exit_flow(data, before, channels, bn_mom):
    """(N, before, H, W) -> (N, channels[-1], H/2, W/2)"""
    body = halving_block(data, (before, before, channels[0]), "Exit_flow_b5", bn_mom)
    for number in (1, 2):
        name = f"Exit_flow_b6_sepconv{number}"
        body = separable(body, *channels[number - 1 : number + 1], name, bn_mom)
        body = activation(body, f"{name}_relu", "relu")
    return body


def get_symbol(
    num_classes, num_layers=1, version_input=1, version_output="E", bn_mom=0.9, **unused
):
    """An Xception up to its embedding, a symbol of shape (N, num_classes) named fc1.

    Parameters
    ----------
    num_classes : int
        The embedding size.
    num_layers : int
        Has no effect.
    version_input : {0, 1, 2}
        The stride of the first convolution: 1: one, for photos of 112×112; 0: the paper's two. 2:
        as 1, and twice the width, which is the paper's.
    version_output : str
        The head, see `symbol_utils.get_fc1`.
    bn_mom : float
        Momentum of every batch normalisation; 2018 had its default, 0.9, whatever --bn-mom said.
    unused
        The other networks' versions, which this one does not have.

    Raises
    ------
    InputError
        For a version that does not exist.
    """
    check_version("input", version_input, "an x network", CHANNELS)
    first, blocks, last = CHANNELS[version_input]
    body = entry_flow(first, blocks, 2 if version_input == 0 else 1, bn_mom)
    # (N, blocks[-1], 14, 14)
    body = middle_flow(body, blocks[-1], bn_mom)
    # (N, last[-1], 7, 7)
    body = exit_flow(body, blocks[-1], last, bn_mom)
    return get_fc1(body, num_classes, version_output, bn_mom)
