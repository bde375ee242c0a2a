"""Packs a list of photos into the records that training reads.

    python -m src.data.face2rec2 train/

packs `train/train.lst` into `train/train.rec` and `train/train.idx`; PREFIX is a folder, whose
lists are all packed, or the beginning of a list's name (`train/train`). `train/property` says
`classes,height,width`, e.g. `85742,112,112`. List lines, between tabs:

    1  path  label                                            an aligned face, packed as it is
    0  path  label  x1 y1 x2 y2  five x  five y               a photo, aligned here

A photo that is missing or unreadable is named with its list line and skipped; the exit status is
then 1. People who lose all their photos so are reported, and the labels above move down.
"""

import argparse
import contextlib
import logging
import os
import time

from easydict import EasyDict

from src.common.arguments import resolve_arguments
from src.common.errors import InputError, run_command
from src.common.face_image import load_property, write_property
from src.common.face_preprocess import parse_lst_line
from src.common.log import configure_logging
from src.common.output_files import whole_file
from src.common.records import pack_payload
from src.data.packing import PackSettings, encode_photo, pack_list

log = logging.getLogger(__name__)

COUNT_EVERY = 1000  # 2018: photos between two lines of progress
SKIPPED_STATUS = 1


def read_list(path_in):
    """Yields what face2rec2 packs, in order, as EasyDicts; 2018's function.

    Images have flag 0, image_path, bbox, landmark, aligned, id (1, 2, …) and label
    [label, aligned]; then record 0 and the identity records have flag 2, id and label, the ranges.
    Unaligned photos without landmarks are left out.
    """
    starts, label, count = [], None, 0
    with open(path_in, encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            path, line_label, bbox, landmark, aligned = parse_lst_line(line)
            if not aligned and landmark is None:
                continue
            count += 1
            if line_label != label:
                starts.append(count)
                label = line_label
            yield EasyDict(
                flag=0, image_path=path, bbox=bbox, landmark=landmark, aligned=aligned, id=count,
                label=[line_label, aligned],
            )  # fmt: skip
    first = count + 1
    yield EasyDict(flag=2, id=0, label=[float(first), float(first + len(starts))])
    ends = [*starts[1:], first]
    for number, (start, end) in enumerate(zip(starts, ends, strict=True)):
        yield EasyDict(flag=2, id=first + number, label=[float(start), float(end)])


def image_encode(args, i, item, q_out):
    """Puts (i, packed record, [item.id]) into the queue; 2018's function.

    The record is None where the photo cannot be had, after a warning.

    Parameters
    ----------
    args : Namespace
        With quality, encoding, color, image_h and image_w.
    i : int
        Passed through.
    item : EasyDict
        Of `read_list`.
    q_out : queue.Queue
    """
    packed = None
    if item.flag:
        packed = pack_payload(item.id, item.label)
    else:
        settings = PackSettings(
            (args.image_h, args.image_w), args.quality, args.encoding, args.color, ""
        )
        try:
            content = encode_photo(
                item.image_path, item.bbox, item.landmark, item.aligned, settings
            )
            packed = pack_payload(item.id, item.label, content)
        except (InputError, OSError) as error:
            log.warning("record %d skipped: %s", item.id, error)
    q_out.put((i, packed, [item.id]))


def find_lists(prefix):
    """(folder, sorted paths of the lists that begin with `prefix`); a folder's are all of them.

    Raises
    ------
    FileNotFoundError, InputError
        There is no such folder, or no list.
    """
    folder = prefix if os.path.isdir(prefix) else os.path.dirname(prefix)
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"{folder}: no such folder (PREFIX is a folder or folder/name)")
    begin = os.path.join(prefix, "") if os.path.isdir(prefix) else prefix
    paths = sorted(os.path.join(folder, name) for name in os.listdir(folder))
    lists = [path for path in paths if path.startswith(begin) and path.endswith(".lst")]
    if not lists:
        raise InputError(
            f"Did not find and list file with prefix {prefix} (python -m src.data.glint2lst PHOTOS "
            f"--output {os.path.join(folder, 'train.lst')} writes one)"
        )
    return folder, lists


def read_image_size(folder):
    """(height, width) that `property` says; 112×112, with a warning, where there is none."""
    if not os.path.exists(os.path.join(folder, "property")):
        log.warning("%s has no property file: taking 112,112 and writing it", folder)
        return 112, 112
    height, width = load_property(folder).image_size
    return height, width


def check_property(folder, classes, image_size):
    """Makes `property` say the number of classes that were packed."""
    path = os.path.join(folder, "property")
    said = load_property(folder).num_classes if os.path.exists(path) else None
    if said != classes:
        if said is not None:
            log.warning("%s said %d classes, there are %d: written anew", path, said, classes)
        write_property(path, classes, image_size)


def tell_report(path_list, report):
    """Prints what was packed; what was skipped, lost or numbered anew is warned of and written."""
    base = os.path.splitext(path_list)[0]
    for table in (f"{base}.skipped.tsv", f"{base}.labels.tsv"):  # of an earlier packing
        with contextlib.suppress(FileNotFoundError):
            os.remove(table)
    # 2018 left users to guess what the number of records is made of.
    print(f"{report.images} images + {report.identities} identities + 1 header in {base}.rec")
    if report.skipped:
        with whole_file(f"{base}.skipped.tsv", "w", errors="surrogateescape") as file:
            file.write("line\treason\n")
            file.writelines(f"{line}\t{reason}\n" for line, reason in report.skipped)
        total = report.images + len(report.skipped)
        log.warning("skipped %d of %d photos: %s.skipped.tsv", len(report.skipped), total, base)
    if report.lost:
        log.warning(
            "%d people have no photo left, labels %s",
            len(report.lost), ", ".join(map(str, report.lost[:10])),
        )  # fmt: skip
    if report.new_labels:
        with whole_file(f"{base}.labels.tsv", "w") as file:
            file.write("old\tnew\n")
            file.writelines(f"{old}\t{new}\n" for old, new in sorted(report.new_labels.items()))
        log.warning(
            "the labels were not 0 to %d and are numbered anew: %s.labels.tsv",
            report.identities - 1, base,
        )  # fmt: skip


def pack(prefix, quality, encoding, color, workers):
    """Packs every list that begins with `prefix`; returns how many photos were skipped."""
    folder, lists = find_lists(prefix)
    image_size = read_image_size(folder)
    print("image_size", list(image_size))
    settings = PackSettings(image_size, quality, encoding, color, folder)
    reports = []
    for path_list in lists:
        print("Creating .rec file from", path_list, "in", folder)
        report = pack_list(
            path_list, os.path.splitext(path_list)[0] + ".rec", settings, workers, CountPrinter()
        )
        tell_report(path_list, report)
        reports.append(report)
    check_property(folder, max(report.identities for report in reports), image_size)
    return sum(len(report.skipped) for report in reports)


class CountPrinter:
    """Prints 2018's line of progress at every thousandth call with a count."""

    def __init__(self):
        self._before = time.time()

    def __call__(self, count):
        if count % COUNT_EVERY == 0:
            now = time.time()
            print("time:", now - self._before, " count:", count)
            self._before = now


def parse_truth(text):
    """True or False; what 2018 gave for any text but the empty one was True."""
    if text.lower() not in ("true", "false", "1", "0", "yes", "no", ""):
        raise argparse.ArgumentTypeError(f"expected True or False, got {text!r}")
    return text.lower() in ("true", "1", "yes")


def parse_args(argv=None):
    """The command line as a Namespace; `prefix` is made absolute."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("prefix", metavar="PREFIX", help="folder, or folder/beginning of the name")
    # 2018: the options of list making were declared, and did nothing.
    group = parser.add_argument_group("without effect, as in 2018 (glint2lst makes lists)")
    group.add_argument("--list", type=parse_truth, default=False)
    group.add_argument("--exts", nargs="+", default=[".jpeg", ".jpg"])
    group.add_argument("--chunks", type=int, default=1)
    group.add_argument("--train-ratio", type=float, default=1.0)
    group.add_argument("--test-ratio", type=float, default=0)
    group.add_argument("--recursive", type=parse_truth, default=False)
    group.add_argument("--shuffle", type=parse_truth, default=True, help="training shuffles")
    group.add_argument("--pack-label", type=parse_truth, default=False)
    group = parser.add_argument_group("packing")
    group.add_argument(
        "--quality", type=int, default=95, help="of JPEG, 1-100, or PNG compression, 1-9"
    )
    group.add_argument("--num-thread", type=int, default=1, help="photos read side by side")
    group.add_argument(
        "--color", type=int, default=1, choices=[-1, 0, 1],
        help="unaligned photos: 1 colour, 0 grey, -1 as the photo is, without transparency",
    )  # fmt: skip
    group.add_argument("--encoding", default=".jpg", choices=[".jpg", ".png"])
    args = parser.parse_args(argv)
    if args.list:
        parser.error("--list: lists are made by python -m src.data.glint2lst PHOTOS --output LIST")
    if not 1 <= args.quality <= 100:
        parser.error("--quality is between 1 and 100")
    if args.num_thread < 1:
        parser.error("--num-thread is at least 1")
    args.prefix = os.path.abspath(args.prefix)
    return args


def main(args=None):
    """Runs the command; the exit status tells whether photos were skipped."""
    configure_logging()
    args = resolve_arguments(parse_args, args)
    skipped = pack(args.prefix, args.quality, args.encoding, args.color, args.num_thread)
    return SKIPPED_STATUS if skipped else 0


if __name__ == "__main__":
    run_command(main)
