"""Makes one data set of several, without the people that an earlier one has already.

    python -m src.data.dataset_merge --include ms1m,own --output merged --model ../model/y1,0

Each identity's centre (the mean embedding of its images) is compared with those kept from the sets
before: from a cosine similarity of --param1 on it is a duplicate and goes. With --exclude (a data
set folder, or a verification set such as lfw.bin), identities as similar as --param2 to someone in
it go, too. `merged/merge_report.tsv` says for each identity whether it was kept, or whom it is
like, and how much: look at the similarities around --param1 and choose it so that the same people
lie above and different ones below. 0.3, 2018's value, also drops some different people; same people
typically reach 0.5 and more. --model '' --param1 0 compares nothing and puts the sets together.
"""

import argparse
import logging
import os

import numpy as np

from src.common.arguments import resolve_arguments
from src.common.checkpoint_names import parse_one_model
from src.common.checkpoints import bind_embedding, load
from src.common.devices import training_contexts
from src.common.errors import InputError, run_command
from src.common.log import configure_logging
from src.common.records import unpack_payload
from src.common.verification_set import read_bin
from src.data.centre_store import CentreStore
from src.data.class_centres import class_centres, embed_encoded, unit_rows
from src.data.merging import (
    KEPT,
    REPORT_NAME,
    Identity,
    check_image_sizes,
    drop_duplicates,
    drop_excluded,
    open_face_set,
    stack_centres,
    sum_up,
    write_merged,
    write_report,
)

log = logging.getLogger(__name__)


def get_embedding(args, imgrec, id, image_size, model):
    """Unit centre (D,) of one identity; 2018's function.

    Parameters
    ----------
    args : Namespace
        With batch_size, which the model is bound for.
    imgrec : RecordReader or mx.recordio.MXIndexedRecordIO
    id : int
        Number of the identity's record.
    image_size : (int, int)
    model : mx.mod.Module
    """
    start, stop = unpack_payload(imgrec.read_idx(id)).label
    contents = (
        unpack_payload(imgrec.read_idx(index)).content for index in range(int(start), int(stop))
    )
    blocks = embed_encoded(contents, model, args.batch_size, image_size)
    rows = [embeddings for _, embeddings in blocks]
    if not rows:
        raise InputError(f"identity record {id}: none of its images can be decoded")
    return unit_rows(np.concatenate(rows).mean(axis=0, keepdims=True))[0]


def load_model(text, batch_size, image_size):
    """The Module of 'prefix,epoch', bound for that batch on the devices that are visible."""
    prefix, epoch = parse_one_model(text)
    contexts = training_contexts()
    print("loading", prefix, epoch)
    return bind_embedding(*load(prefix, epoch), contexts, batch_size, image_size)


def excluded_rows(path, embedder):
    """Unit rows (E,D) of what --exclude names: identities of a folder, or images of a .bin."""
    if os.path.isdir(path):
        excluded = open_face_set(path)
        return embedder.centres(excluded)[0]
    if not os.path.isfile(path):
        raise FileNotFoundError(f"--exclude {path}: neither a data set folder nor a .bin file")
    images, _ = read_bin(path)
    blocks = embed_encoded(images, embedder.module, embedder.batch_size, embedder.image_size)
    rows = np.zeros((len(images), 0))
    for positions, embeddings in blocks:
        if not rows.shape[1]:
            rows = np.zeros((len(images), embeddings.shape[1]))
        rows[positions] = embeddings
    return rows


class Embedder:
    """A bound model together with what it is used with.

    Parameters
    ----------
    model : str
        'prefix,epoch'.
    batch_size : int
    image_size : (int, int)
    store : CentreStore
    """

    def __init__(self, model, batch_size, image_size, store):
        self.module = load_model(model, batch_size, image_size)
        self.batch_size = batch_size
        self.image_size = image_size
        self._store = store

    def centres(self, face_set):
        """(centres (C,D), numbers of undecodable images) of a set, from the store if there."""
        found = self._store.load(face_set)
        if found is None:
            found = class_centres(
                face_set.reader, face_set.ranges, self.module, self.batch_size, self.image_size
            )
            self._store.save(face_set, *found)
        return found


def compare(face_sets, embedder, threshold):
    """Decides on each identity in turn of the sets.

    Returns
    -------
    identities : list of Identity
        All of them.
    kept_centres : list of ndarray of shape (D,)
        Of the kept ones, in order; empty without embedder.
    bad_images : list of set of int
        For each set.
    """
    identities, kept, kept_centres, bad_images = [], [], [], []
    names = [face_set.folder for face_set in face_sets]
    for source, face_set in enumerate(face_sets):
        print("header0 label", np.array(face_set.header, np.float32))
        own = [Identity(source, label) for label in range(len(face_set.ranges))]
        bad = []
        if embedder:
            centres, bad = embedder.centres(face_set)
            drop_duplicates(own, centres, kept, stack_centres(kept_centres), names, threshold)
            kept_centres += [
                centre
                for centre, identity in zip(centres, own, strict=True)
                if identity.result == KEPT
            ]
        identities += own
        kept += [identity for identity in own if identity.result == KEPT]
        bad_images.append(set(bad))
        # 2018: of the first set, and without a model, the second number was left out.
        print(source, len(own), *([len(kept)] if source and embedder else []))
    return identities, kept_centres, bad_images


def merge(include, exclude, output, model, batch_size, thresholds, test):
    """Merges data sets and reports on each identity; parameters as the flags, lists split.

    Parameters
    ----------
    include : list of str
    exclude, output, model : str
    batch_size : int
    thresholds : (float, float)
        --param1 and --param2.
    test : int
        2018: above 0 nothing is written (here: but the report).
    """
    face_sets = [open_face_set(folder) for folder in include]
    check_image_sizes(face_sets)
    image_size = face_sets[0].image_size
    print("image_size", list(image_size))
    if model:  # the newest of a prefix stays the same one however long this takes
        prefix, epoch = parse_one_model(model)
        model = f"{prefix},{epoch}"
    store = CentreStore(output, model, (tuple(image_size), batch_size))
    embedder = Embedder(model, batch_size, image_size, store) if model else None
    identities, kept_centres, bad_images = compare(face_sets, embedder, thresholds[0])
    if exclude:
        kept = [identity for identity in identities if identity.result == KEPT]
        rows = excluded_rows(exclude, embedder)
        print(
            "exclude",
            drop_excluded(kept, stack_centres(kept_centres), rows, exclude, thresholds[1]),
        )
    images = 0
    if not test:
        images = write_merged(output, face_sets, identities, bad_images)
    report = os.path.join(output, REPORT_NAME)
    write_report(report, identities, face_sets)
    store.clear()
    print("\n".join(sum_up(identities, face_sets)))
    kept_count = sum(identity.result == KEPT for identity in identities)
    if not test:
        print(f"{images} images + {kept_count} identities + 1 header in {output}/train.rec")
    print(f"report: {report}")


def parse_args(argv=None):
    """The command line as a Namespace."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--include", default="", help="data set folders between commas")
    parser.add_argument("--exclude", default="", help="data set folder, or verification set .bin")
    parser.add_argument("--output", default="", help="folder for the merged set and the report")
    parser.add_argument(
        "--model",
        default="../model/softmax,50",
        help="prefix,epoch; prefix: the newest; '' needs --param1 0",
    )
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument(
        "--param1", type=float, default=0.3, help="similarity of duplicates (default: %(default)s)"
    )
    parser.add_argument(
        "--param2", type=float, default=0.4, help="similarity to --exclude (default: %(default)s)"
    )
    parser.add_argument("--mode", type=int, default=1, help="no effect, as in 2018")
    parser.add_argument("--test", type=int, default=0, help="1: only the report, no records")
    return parser.parse_args(argv)


def check_args(args):
    """Raises InputError where the flags do not go together."""
    include = [folder.strip() for folder in args.include.split(",") if folder.strip()]
    if not include:
        raise InputError("--include: name the data set folders to merge, between commas")
    if not args.output:
        raise InputError("--output: name the folder for the merged data set")
    if not args.model and args.param1 != 0:
        raise InputError(
            f"--model '' cannot find duplicates of --param1 {args.param1:g}: give a model "
            "(prefix,epoch), or --param1 0 to put the sets together as they are"
        )
    if not args.model and args.exclude:
        raise InputError("--exclude needs a --model (prefix,epoch) to find the people by")
    if args.batch_size < 1:
        raise InputError(f"--batch-size {args.batch_size}: at least 1")
    real = [os.path.realpath(folder) for folder in include]
    if os.path.realpath(args.output) in real:
        raise InputError(f"--output {args.output} is among --include: choose another folder")
    if len(set(real)) < len(real):
        raise InputError(f"--include {args.include} names a folder twice")
    return include


def main(args=None):
    """Runs the command."""
    configure_logging()
    args = resolve_arguments(parse_args, args)
    include = check_args(args)
    merge(
        include, args.exclude, args.output, args.model, args.batch_size,
        (args.param1, args.param2), args.test,
    )  # fmt: skip


if __name__ == "__main__":
    run_command(main)
