"""Inception-ResNet-v2 (Szegedy et al., arXiv 1602.07261, figures 7 and 15 to 19), any number.

The number behind the letter (i2, i3, …) has no effect, as in 2018. The stem is not the paper's
figure 3 but that of its authors' later code. Layers are numbered in the order in which they are
made, and parameters are named by that number.
"""

from src.common.mxnet_backend import mx
from src.symbols.symbol_utils import activation, get_fc1, scaled_pixels
from src.symbols.versions import check_version

# A tower is a row of convolutions, each (filters, kernel, pad) or (filters, kernel, pad, stride);
# a block puts its towers' ends in one. Kernels and pads are sizes, or (height, width).

# After the stem, beside an average pooling and a convolution: the paper's "mixed" block 5b.
MIXED_TOWERS = (
    ((96, 1, 0),),
    ((48, 1, 0), (64, 5, 2)),
    ((64, 1, 0), (96, 3, 1), (96, 3, 1)),
)
MIXED_POOLED = (64, 1, 0)
# Residual blocks: towers, and what their sum is scaled by.
BLOCK_35 = (
    (
        ((32, 1, 0),),
        ((32, 1, 0), (32, 3, 1)),
        ((32, 1, 0), (48, 3, 1), (64, 3, 1)),
    ),
    0.17,
)
BLOCK_17 = (
    (
        ((192, 1, 0),),
        # 2018: 129 filters (the paper's figure has 128 of 160), and pads of 2 and 1 by which the
        # map first loses two columns and gains two rows, then the other way round.
        ((129, 1, 0), (160, (1, 7), (1, 2)), (192, (7, 1), (2, 1))),
    ),
    0.1,
)
BLOCK_8_TOWERS = (
    ((192, 1, 0),),
    ((192, 1, 0), (224, (1, 3), (0, 1)), (256, (3, 1), (1, 0))),
)
BLOCK_8 = (BLOCK_8_TOWERS, 0.2)
LAST_BLOCK_8 = (BLOCK_8_TOWERS, 1.0)
# Reductions to half the size, beside a maximum pooling.
REDUCTION_A = (
    ((384, 3, 0, 2),),
    ((256, 1, 0), (256, 3, 1), (384, 3, 0, 2)),
)
REDUCTION_B = (
    ((256, 1, 0), (384, 3, 0, 2)),
    ((256, 1, 0), (288, 3, 0, 2)),
    ((256, 1, 0), (288, 3, 1), (320, 3, 0, 2)),
)


def pair(size):
    """(height, width) of one size for both, or of such a pair."""
    return size if isinstance(size, tuple) else (size, size)


class Layers:
    """Makes the network's layers, numbers them, and gives all the same momentum."""

    def __init__(self, bn_mom):
        self.bn_mom = bn_mom
        self.made = 0

    def convolution(self, data, num_filter, kernel, pad, stride=1):
        """Convolution with bias and batch normalisation whose scale is fixed at 1."""
        number = self.made
        self.made += 1
        body = mx.sym.Convolution(
            data,
            num_filter=num_filter,
            kernel=pair(kernel),
            pad=pair(pad),
            stride=pair(stride),
            name=f"convolution{number}",
        )
        # fix_gamma and epsilon are MXNet's own.
        return mx.sym.BatchNorm(body, momentum=self.bn_mom, name=f"batchnorm{number}")

    def activated(self, data, *settings):
        """`convolution` and ReLU."""
        return self.relu(self.convolution(data, *settings))

    def relu(self, data):
        """max(data, 0), with the number of the convolution before it."""
        return activation(data, f"activation{self.made - 1}", "relu")

    def tower(self, data, settings):
        """Activated convolutions one after another."""
        for convolution in settings:
            data = self.activated(data, *convolution)
        return data

    def towers(self, data, settings):
        """List of the ends of towers side by side."""
        return [self.tower(data, tower) for tower in settings]

    def residual(self, data, block, channels):
        """data + scale · what the towers give, projected to data's channels."""
        settings, scale = block
        mixed = mx.sym.concat(*self.towers(data, settings), dim=1)
        return data + scale * self.convolution(mixed, channels, 1, 0)

    def residuals(self, data, blocks, block, channels):
        """`blocks` residual blocks, each activated."""
        for _ in range(blocks):
            data = self.relu(self.residual(data, block, channels))
        return data

    def reduction(self, data, settings):
        """(N, C, H, W) -> (N, C + the towers' channels, (H-1)/2, (W-1)/2)."""
        return mx.sym.concat(*self.towers(data, settings), max_pooled(data), dim=1)


def max_pooled(data):
    """(N, C, H, W) -> (N, C, (H-1)/2, (W-1)/2), the greatest of each 3×3."""
    return mx.sym.Pooling(data, kernel=(3, 3), stride=(2, 2), pool_type="max")


def first_layers(layers, version_input):
    """Pixels (N, 3, 112, 112) -> (N, 320, 52, 52); (N, 320, 25, 25) at --version-input 0."""
    body = scaled_pixels(mx.sym.var("data"))
    # 2018: without the stem's second pooling.
    first_stride = 2 if version_input == 0 else 1
    stem = ((32, 3, 0, first_stride), (32, 3, 0), (64, 3, 1), (80, 1, 0), (192, 3, 0))
    body = max_pooled(layers.tower(body, stem))
    mixed = layers.towers(body, MIXED_TOWERS)
    averaged = mx.sym.Pooling(body, kernel=(3, 3), stride=(1, 1), pad=(1, 1), pool_type="avg")
    return mx.sym.concat(*mixed, layers.activated(averaged, *MIXED_POOLED), dim=1)


def get_symbol(
    num_classes, num_layers=2, version_input=1, version_output="E", bn_mom=0.9, **unused
):
    """Inception-ResNet-v2 up to its embedding, a symbol of shape (N, num_classes) named fc1.

    Parameters
    ----------
    num_classes : int
        The embedding size.
    num_layers : int
        Has no effect.
    version_input : {0, 1}
        The stride of the first convolution: 1: one, for photos of 112×112; 0: the paper's two.
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
    check_version("input", version_input, "an i network")
    layers = Layers(bn_mom)
    # The sizes below are those at --version-input 1.
    body = first_layers(layers, version_input)
    # (N, 320, 52, 52)
    body = layers.residuals(body, 10, BLOCK_35, 320)
    # (N, 1088, 25, 25)
    body = layers.reduction(body, REDUCTION_A)
    body = layers.residuals(body, 20, BLOCK_17, 1088)
    # (N, 2080, 12, 12)
    body = layers.reduction(body, REDUCTION_B)
    body = layers.residuals(body, 9, BLOCK_8, 2080)
    # The last one is not activated.
    body = layers.residual(body, LAST_BLOCK_8, 2080)
    # (N, 1536, 12, 12)
    body = layers.activated(body, 1536, 1, 0)
    return get_fc1(body, num_classes, version_output, bn_mom)
