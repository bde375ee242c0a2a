"""Exports a model's embedding network to an ONNX file, after comparing the two.

    python -m src.export --model ../model/model,1 --output model.onnx

The file's input `data` is (N, 3, 112, 112), float32: aligned faces, RGB, 0..255 (the scaling to
-1..1 is part of the graph). Its output `fc1` is (N, embedding size), not normalised. The batch size
N is dynamic unless --batch-size fixes it. Needs the extra `onnx`: pip install -e '.[onnx]'

onnxruntime and MXNet embed the same random faces, in several batch sizes, and the largest
difference of any element is printed. If it is above 1e-4 of the largest element, the command fails
and no file is written. The limit is relative because the embeddings of some networks have an
arbitrary scale: elements of 10,000 have float32 rounding errors above 1e-4, while for elements of
0.001 a smaller error can make them useless. Verification normalises the embeddings, so their scale
does not matter.

Networks with the GNAP head take a mean over the complete batch: in MXNet, and so in the file, an
embedding depends on the other faces of its batch. The command logs a warning with the size of the
effect. To get embeddings that depend on the face alone, run the file on one face at a time;
--batch-size 1 writes a file that accepts only one.
"""

if not __package__:  # used by its path: the `src` that it lies in comes first
    __import__("sys").path.insert(0, __import__("os").path.abspath(f"{__file__}/../.."))

import argparse
import logging
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from src.checkpoints.binding import check_parameters, cut_at_embedding
from src.checkpoints.files import Checkpoint, load_checkpoint
from src.checkpoints.names import params_path, parse_one_model, symbol_path
from src.common.arguments import (
    make_parser,
    natural_int,
    parse_image_size,
    resolve_arguments,
)
from src.common.errors import InputError, run_command
from src.common.log import configure_logging
from src.common.output_files import whole_file
from src.common.writable import check_output_file

if TYPE_CHECKING:
    from src.onnx_model.comparison import Difference

log = logging.getLogger(__name__)

LARGEST_DIFFERENCE = 1e-4  # relative to the largest element of MXNet's embeddings


def find_checkpoint(model: str, output: str) -> tuple[str, int]:
    """(prefix, epoch) of a `--model` value.

    Raises
    ------
    InputError
        It is not exactly one checkpoint, or `output` is a folder or a file of the checkpoint.
    """
    check_output_file(output, "--output")
    prefix, epoch = parse_one_model(model)
    inputs = [symbol_path(prefix), params_path(prefix, epoch)]
    if os.path.realpath(output) in map(os.path.realpath, inputs):
        raise InputError(f"--output {output} is a file of --model; choose another name")
    return prefix, epoch


def load_embedding(prefix: str, epoch: int, image_size: tuple[int, int]) -> Checkpoint:
    """(symbol, arg_params, aux_params) up to the embedding, checked for faces of this size."""
    symbol, arg_params, aux_params = load_checkpoint(prefix, epoch)
    symbol = cut_at_embedding(symbol)
    check_parameters(symbol, arg_params, aux_params, (1, 3, *image_size))
    return symbol, arg_params, aux_params


def warn_of_batch_effect(
    layers: Sequence[str], batch_size: int, change: float, similarity: float
) -> None:
    """Logs that embeddings depend on the batch, and how much.

    Parameters
    ----------
    layers
        Names of the layers that compute one value over the complete batch.
    batch_size
        0: dynamic.
    change, similarity
        Of `comparison.effect_of_batch`.
    """
    cause = f"layer {' and '.join(layers)} computes one value over the complete batch (as in GNAP)"
    if batch_size == 1:
        log.warning(
            "%s: in this file an embedding depends on its face alone, but in MXNet it also depends "
            "on the other faces of its batch",
            cause,
        )
    else:
        log.warning(
            "%s: an embedding depends on the other faces of its batch, in this file as in MXNet "
            "(random faces: by up to %.1e of its largest element, cosine similarity down to %.6f); "
            "run it on one face at a time, or export with --batch-size 1",
            cause,
            change,
            similarity,
        )


def export(
    model: str, output: str, batch_size: int = 0, image_size: tuple[int, int] = (112, 112)
) -> "Difference":
    """Writes the ONNX file; returns its difference from MXNet.

    Parameters
    ----------
    model
        'prefix,epoch'
    output
        The file to write; missing folders are created.
    batch_size
        0: dynamic.
    image_size
        Height, width of the faces.

    Raises
    ------
    InputError
        The extra `onnx` is not installed, there is no such checkpoint, a layer cannot be written
        in ONNX, or the embeddings differ from MXNet's. No file is written then.
    """
    # Imported here so that --help and checks of flags work without the extra.
    from src.onnx_model import comparison, conversion

    prefix, epoch = find_checkpoint(model, output)
    network = load_embedding(prefix, epoch, image_size)
    source = f"{os.path.basename(prefix)},{epoch}"
    converted, batch_wide = conversion.convert(*network, image_size, batch_size, source)
    with whole_file(output) as file:
        file.write(converted.SerializeToString())
        file.flush()
        session = comparison.open_session(file.name)
        difference = comparison.difference_from_mxnet(session, *network, image_size, batch_size)
        print(
            f"largest difference: {difference.relative:.2e} of the largest element "
            f"({difference.absolute:.2e} of {difference.largest:.4g}), limit "
            f"{LARGEST_DIFFERENCE:g}"
        )
        if not difference.relative <= LARGEST_DIFFERENCE:
            raise InputError(
                f"{output} was not written: its embeddings differ from MXNet's by "
                f"{difference.relative:.2e} of the largest element, the limit is "
                f"{LARGEST_DIFFERENCE:g}"
            )
    if batch_wide:
        effect = comparison.effect_of_batch(session, image_size, batch_size)
        warn_of_batch_effect(batch_wide, batch_size, *effect)
    print(f"{output}: {conversion.describe(converted)}")
    return difference


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = make_parser(__doc__)
    parser.add_argument("--model", required=True, help="the checkpoint: prefix,epoch")
    parser.add_argument("--output", required=True, metavar="FILE", help="the .onnx file to write")
    parser.add_argument(
        "--batch-size", type=natural_int, default=0, help="faces per call; 0: dynamic"
    )
    parser.add_argument("--image-size", default="112,112", help="height,width of the faces")
    return parser.parse_args(argv)


def main(args: Sequence[str] | argparse.Namespace | None = None) -> None:
    """Runs the command."""
    configure_logging()
    args = resolve_arguments(parse_args, args)
    export(args.model, args.output, args.batch_size, parse_image_size(args.image_size))


if __name__ == "__main__":
    run_command(main)
