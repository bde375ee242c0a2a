"""Inception-ResNet-v2 (Szegedy et al., arXiv 1602.07261, figures 7 and 15 to 19), i2, i3, …

The number after the letter has no effect, as in 2018. The stem is the one in the authors' later
code, not that of figure 3 in the paper. Layers are numbered in the order in which they are created,
and parameters are named after that number.
"""

if not __package__:  # used by its path: the `src` that it lies in comes first
    __import__("sys").path.insert(0, __import__("os").path.abspath(f"{__file__}/../../.."))

from typing import Any

from src.common.mxnet_backend import mx
from src.symbols.spec import NetworkSpec, Row
from src.symbols.symbol_utils import activation, convolution, get_fc1, scaled_pixels

# A tower is a sequence of convolutions, each (filters, kernel, pad) or (filters, kernel, pad,
# stride); a block concatenates the outputs of its towers. Kernel and pad are one number, or
# (height, width).
Tower = tuple[tuple[Any, ...], ...]
Block = tuple[tuple[Tower, ...], float]

# After the stem, next to an average pooling and a convolution: the paper's "mixed" block 5b.
MIXED_TOWERS: tuple[Tower, ...] = (
    ((96, 1, 0),),
    ((48, 1, 0), (64, 5, 2)),
    ((64, 1, 0), (96, 3, 1), (96, 3, 1)),
)
MIXED_POOLED = (64, 1, 0)
# Residual blocks: towers, and the factor of their sum.
BLOCK_35: Block = (
    (
        ((32, 1, 0),),
        ((32, 1, 0), (32, 3, 1)),
        ((32, 1, 0), (48, 3, 1), (64, 3, 1)),
    ),
    0.17,
)
BLOCK_17: Block = (
    (
        ((192, 1, 0),),
        # 2018: 129 filters instead of the paper's 128, and pads of 2 and 1, so the map first loses
        # two columns and gains two rows, then the reverse.
        ((129, 1, 0), (160, (1, 7), (1, 2)), (192, (7, 1), (2, 1))),
    ),
    0.1,
)
BLOCK_8_TOWERS: tuple[Tower, ...] = (
    ((192, 1, 0),),
    ((192, 1, 0), (224, (1, 3), (0, 1)), (256, (3, 1), (1, 0))),
)
BLOCK_8: Block = (BLOCK_8_TOWERS, 0.2)
LAST_BLOCK_8: Block = (BLOCK_8_TOWERS, 1.0)
# Reductions to half the size, next to a maximum pooling.
REDUCTION_A: tuple[Tower, ...] = (
    ((384, 3, 0, 2),),
    ((256, 1, 0), (256, 3, 1), (384, 3, 0, 2)),
)
REDUCTION_B: tuple[Tower, ...] = (
    ((256, 1, 0), (384, 3, 0, 2)),
    ((256, 1, 0), (288, 3, 0, 2)),
    ((256, 1, 0), (288, 3, 1), (320, 3, 0, 2)),
)


class Layers:
    """Creates the network's layers, numbers them, and gives all of them the same momentum."""

    def __init__(self, bn_mom: float) -> None:
        self.bn_mom = bn_mom
        self.made = 0

    def convolution(
        self, data: mx.sym.Symbol, num_filter: int, kernel: Any, pad: Any, stride: int = 1
    ) -> mx.sym.Symbol:
        """Convolution with bias, and batch normalisation whose scale is fixed at 1."""
        number = self.made
        self.made += 1
        body = convolution(
            data, num_filter, f"convolution{number}", kernel, stride, pad, no_bias=False
        )
        # fix_gamma and epsilon are MXNet's defaults.
        return mx.sym.BatchNorm(body, momentum=self.bn_mom, name=f"batchnorm{number}")

    def activated(self, data: mx.sym.Symbol, *settings: Any) -> mx.sym.Symbol:
        """`convolution` and ReLU."""
        return self.relu(self.convolution(data, *settings))

    def relu(self, data: mx.sym.Symbol) -> mx.sym.Symbol:
        """max(data, 0), numbered like the last convolution."""
        return activation(data, f"activation{self.made - 1}", "relu")

    def tower(self, data: mx.sym.Symbol, settings: Tower) -> mx.sym.Symbol:
        """Convolutions with ReLU, one after the other."""
        for each in settings:
            data = self.activated(data, *each)
        return data

    def towers(self, data: mx.sym.Symbol, settings: tuple[Tower, ...]) -> list[mx.sym.Symbol]:
        """The outputs of parallel towers."""
        return [self.tower(data, tower) for tower in settings]

    def residual(self, data: mx.sym.Symbol, block: Block, channels: int) -> mx.sym.Symbol:
        """data + scale · towers, where the towers are projected to data's channels."""
        settings, scale = block
        mixed = mx.sym.concat(*self.towers(data, settings), dim=1)
        return data + scale * self.convolution(mixed, channels, 1, 0)

    def residuals(
        self, data: mx.sym.Symbol, blocks: int, block: Block, channels: int
    ) -> mx.sym.Symbol:
        """`blocks` residual blocks, each followed by ReLU."""
        for _ in range(blocks):
            data = self.relu(self.residual(data, block, channels))
        return data

    def reduction(self, data: mx.sym.Symbol, settings: tuple[Tower, ...]) -> mx.sym.Symbol:
        """(N, C, H, W) -> (N, C + the towers' channels, (H-1)/2, (W-1)/2)."""
        return mx.sym.concat(*self.towers(data, settings), max_pooled(data), dim=1)


def max_pooled(data: mx.sym.Symbol) -> mx.sym.Symbol:
    """(N, C, H, W) -> (N, C, (H-1)/2, (W-1)/2), the maximum of 3×3 windows."""
    return mx.sym.Pooling(data, kernel=(3, 3), stride=(2, 2), pool_type="max")


def first_layers(layers: Layers, version_input: int) -> mx.sym.Symbol:
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
    num_classes: int,
    num_layers: int = 2,
    version_input: int = 1,
    version_output: str = "E",
    bn_mom: float = 0.9,
    **unused: Any,
) -> mx.sym.Symbol:
    """Inception-ResNet-v2 up to its embedding, a symbol of shape (N, num_classes) named fc1.

    Parameters
    ----------
    num_classes
        The embedding size.
    num_layers
        Has no effect.
    version_input
        1 or 2: a first convolution of stride 1, for photos of 112×112; 0: stride 2, as in the
        paper.
    version_output
        The head, see `symbol_utils.get_fc1`.
    bn_mom
        Momentum of every batch normalisation. 2018: fixed at 0.9.
    unused
        Settings of other networks; ignored.

    Raises
    ------
    InputError
        For a version that does not exist.
    """
    SPEC.check(num_layers, input=version_input)
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
    # No ReLU after the last block.
    body = layers.residual(body, LAST_BLOCK_8, 2080)
    # (N, 1536, 12, 12)
    body = layers.activated(body, 1536, 1, 0)
    return get_fc1(body, num_classes, version_output, bn_mom)


SPEC = NetworkSpec(
    letter="i",
    family="Inception-ResNet-v2",
    paper="1602.07261",
    build=get_symbol,
    rows=[Row("i2")],
    versions={"input": (0, 1, 2)},
    rnd_type="gaussian",
)
