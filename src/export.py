"""Writes a model's embedding network as an ONNX file, after comparing the two.

    python -m src.export --model ../model/model,1 --output model.onnx

The file's input `data` is (N, 3, 112, 112), float32: aligned faces, RGB, 0..255 (the scaling to
-1..1 is in the graph). Its output `fc1` is (N, embedding size), not normalised. N is open unless
--batch-size says a number. Needs: pip install -e '.[onnx]'

onnxruntime and MXNet embed the same random faces, in several batch sizes, and the largest
difference of any element is printed. Above 1e-4 of the largest element the file is refused, and
nothing is written. The limit is on that part, not on the difference itself, because some networks
give embeddings of any scale: elements of 10,000 bear a rounding of float32 above 1e-4, and elements
of 0.001 an error that spoils them below it. Verification normalises the embeddings, so that their
scale has no meaning.

Networks that end in GNAP take a mean over the whole batch: in MXNet, and so in the file, an
embedding depends on the other faces of its batch. A warning says how much. For embeddings
that depend on the face alone, give such a file one face at a time; --batch-size 1 writes one that
takes no more.
"""

import argparse
import logging
import os

from src.common import checkpoints
from src.common.arguments import resolve_arguments
from src.common.checkpoint_names import params_path, parse_one_model, symbol_path
from src.common.errors import InputError, run_command
from src.common.face_preprocess import parse_image_size
from src.common.log import configure_logging
from src.common.output_files import whole_file

log = logging.getLogger(__name__)

LARGEST_DIFFERENCE = 1e-4  # as a part of the largest element of MXNet's embeddings


def find_checkpoint(model, output):
    """(prefix, epoch) of a `--model` value.

    Raises
    ------
    InputError
        It is not one checkpoint, or `output` is a folder or one of the checkpoint's files.
    """
    if os.path.isdir(output):
        raise InputError(f"--output {output} is a folder: expected the name of a file")
    prefix, epoch = parse_one_model(model)
    inputs = [symbol_path(prefix), params_path(prefix, epoch)]
    if os.path.realpath(output) in map(os.path.realpath, inputs):
        raise InputError(f"--output {output} is a file of --model: take another name")
    return prefix, epoch


def load_embedding(prefix, epoch, image_size):
    """(symbol, arg_params, aux_params) up to the embedding, which fit faces of this size."""
    symbol, arg_params, aux_params = checkpoints.load(prefix, epoch)
    symbol = checkpoints.cut_at_embedding(symbol)
    checkpoints.check_parameters(symbol, arg_params, aux_params, (1, 3, *image_size))
    return symbol, arg_params, aux_params


def warn_of_batch_means(layers, batch_size, change, similarity):
    """Says that an embedding depends on the batch, and how much.

    Parameters
    ----------
    layers : list of str
        Whose results are one for the batch.
    batch_size : int
        0: open.
    change, similarity : float
        What `comparison.effect_of_companions` found.
    """
    where = f"layer {' and '.join(layers)} takes one value for the whole batch (GNAP does)"
    if batch_size == 1:
        log.warning(
            "%s: in this file an embedding depends on its face alone, but MXNet gives another one "
            "in a batch of several faces",
            where,
        )
    else:
        log.warning(
            "%s: an embedding depends on the other faces of its batch, in this file as in MXNet "
            "(random faces: by up to %.1e of its largest element, cosine similarity down to %.6f); "
            "give it one face at a time, or export with --batch-size 1",
            where,
            change,
            similarity,
        )


def export(model, output, batch_size=0, image_size=(112, 112)):
    """Writes the ONNX file; returns how far it is from MXNet, a `comparison.Difference`.

    Parameters
    ----------
    model : str
        'prefix,epoch'
    output : str
        The file to write; missing folders above it are made.
    batch_size : int
        0 leaves it open.
    image_size : (int, int)
        Height and width of the faces.

    Raises
    ------
    InputError
        The extra `onnx` is not installed, there is no such checkpoint, a layer cannot be written
        in ONNX, or the embeddings are not MXNet's. Then no file appears.
    """
    # Here, so that --help and wrong flags are answered where the extra is not installed.
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
                f"{output} is not written: its embeddings differ from MXNet's by "
                f"{difference.relative:.2e} of the largest element, the limit is "
                f"{LARGEST_DIFFERENCE:g}"
            )
    if batch_wide:
        effect = comparison.effect_of_companions(session, image_size, batch_size)
        warn_of_batch_means(batch_wide, batch_size, *effect)
    print(f"{output}: {conversion.describe(converted)}")
    return difference


def parse_batch_size(text):
    """A whole number from 0 on; for `type=`."""
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r}: expected 0 (open) or a number of faces")
    return int(text)


def parse_args(argv=None):
    """The command line as a Namespace."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", required=True, help="the checkpoint: prefix,epoch")
    parser.add_argument("--output", required=True, metavar="FILE", help="the .onnx file to write")
    parser.add_argument(
        "--batch-size",
        type=parse_batch_size,
        default=0,
        help="faces a call; 0 (the default) leaves it open",
    )
    parser.add_argument(
        "--image-size", default="112,112", help="height,width of the faces (default: 112,112)"
    )
    return parser.parse_args(argv)


def main(args=None):
    """The command."""
    configure_logging()
    args = resolve_arguments(parse_args, args)
    export(args.model, args.output, args.batch_size, parse_image_size(args.image_size))


if __name__ == "__main__":
    run_command(main)
