"""Packs a list of photos into the records that training reads.

    python -m src.data.face2rec2 train/

packs `train/train.lst` into `train/train.rec` and `train/train.idx`. PREFIX is a folder
(all lists in it are packed) or the beginning of a list's path (`train/train`). `train/property`
contains `classes,height,width`, e.g. `85742,112,112`. Fields in a list line are separated by tabs:

    1  path  label                                            an aligned face, packed unchanged
    0  path  label  x1 y1 x2 y2  five x  five y               a photo, aligned during packing

A photo that is missing or unreadable is skipped, with a warning that gives its list line, and the
exit status is 1. People without any photo left are reported, and the labels are then renumbered
without gaps.
"""

if not __package__:  # used by its path: the `src` that it lies in comes first
    __import__("sys").path.insert(0, __import__("os").path.abspath(f"{__file__}/../../.."))

import argparse
import contextlib
import logging
import os
import time
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from easydict import EasyDict

from src.common.arguments import make_parser, resolve_arguments
from src.common.errors import InputError, run_command
from src.common.log import configure_logging
from src.common.output_files import whole_file
from src.common.shards import WHOLE, Shard
from src.common.text_files import read_lines
from src.data.face_encoding import PackSettings, encode_photo
from src.data.packing import PackReport, pack_list, pack_part
from src.data.training_lists import find_lists
from src.formats.lists import parse_lst_line
from src.formats.property import load_property, write_property
from src.formats.recordio import pack_payload

log = logging.getLogger(__name__)

COUNT_EVERY = 1000  # 2018: photos between two lines of progress
SKIPPED_STATUS = 1


def read_list(path_in: str) -> Iterator[EasyDict]:
    """Yields the records to pack, in order, as EasyDicts; 2018's function.

    Images have flag 0, image_path, bbox, landmark, aligned, id (1, 2, …) and label
    [label, aligned]. Record 0 and the identity records follow, with flag 2, id, and the range as
    label. Unaligned photos without landmarks are left out.
    """
    starts: list[int] = []
    label: int | None = None
    count = 0
    for _, line in read_lines(path_in, "surrogateescape"):
        path, line_label, bbox, landmark, aligned = parse_lst_line(line)
        if not aligned and landmark is None:
            continue
        count += 1
        if line_label != label:
            starts.append(count)
            label = line_label
        yield EasyDict(
            flag=0,
            image_path=path,
            bbox=bbox,
            landmark=landmark,
            aligned=aligned,
            id=count,
            label=[line_label, aligned],
        )
    first = count + 1
    yield EasyDict(flag=2, id=0, label=[float(first), float(first + len(starts))])
    ends = [*starts[1:], first]
    for number, (start, end) in enumerate(zip(starts, ends, strict=True)):
        yield EasyDict(flag=2, id=first + number, label=[float(start), float(end)])


class RecordQueue(Protocol):
    """A queue of (i, packed record or None, [id]): of threads or of processes."""

    def put(self, item: tuple[int, bytes | None, list[int]], /) -> None:
        """Adds one."""


def image_encode(
    args: Any,
    i: int,
    item: EasyDict,
    q_out: RecordQueue,
) -> None:
    """Puts (i, packed record, [item.id]) into the queue; 2018's function.

    The record is None if the photo cannot be read, which is logged.

    Parameters
    ----------
    args
        With quality, encoding, color, image_h and image_w.
    i
        Passed through.
    item
        From `read_list`.
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


def read_image_size(folder: str) -> tuple[int, int]:
    """(height, width) from `property`; 112×112, with a warning, if there is no such file."""
    if not os.path.exists(os.path.join(folder, "property")):
        log.warning("%s has no property file: using 112,112 and writing one", folder)
        return 112, 112
    height, width = load_property(folder).image_size
    return height, width


def update_property(folder: str, classes: int, image_size: Sequence[int]) -> None:
    """Writes `property` if it is missing or gives another number of classes."""
    path = os.path.join(folder, "property")
    declared = load_property(folder).num_classes if os.path.exists(path) else None
    if declared != classes:
        if declared is not None:
            log.warning("%s gave %d classes, but %d were packed: updated", path, declared, classes)
        write_property(path, classes, image_size)


def report_packing(path_list: str, report: PackReport) -> None:
    """Prints the counts; logs skipped photos, lost people and new labels, and writes tables."""
    base = os.path.splitext(path_list)[0]
    for table in (f"{base}.skipped.tsv", f"{base}.labels.tsv"):  # from an earlier packing
        with contextlib.suppress(FileNotFoundError):
            os.remove(table)
    # 2018 left users to guess what the number of records is made of.
    print(f"{report.images} images + {report.identities} identities + 1 header in {base}.rec")
    if report.skipped:
        with whole_file(f"{base}.skipped.tsv", "w", errors="surrogateescape") as file:
            file.write("line\treason\n")
            file.writelines(f"{line}\t{reason}\n" for line, reason in report.skipped)
        total = report.images + len(report.skipped)
        log.warning("skipped %d of %d photos: see %s.skipped.tsv", len(report.skipped), total, base)
    if report.lost:
        log.warning(
            "%d people have no photo left, labels %s",
            len(report.lost),
            ", ".join(map(str, report.lost[:10])),
        )
    if report.new_labels:
        with whole_file(f"{base}.labels.tsv", "w") as file:
            file.write("old\tnew\n")
            file.writelines(f"{old}\t{new}\n" for old, new in sorted(report.new_labels.items()))
        log.warning(
            "the labels were not 0 to %d and have been renumbered: see %s.labels.tsv",
            report.identities - 1,
            base,
        )


def pack(
    prefix: str, quality: int, encoding: str, color: int, workers: int, shard: Shard = WHOLE
) -> int:
    """Packs every list that begins with `prefix`; returns the number of skipped photos.

    Parameters
    ----------
    shard
        The part of each list to encode; only the whole list gives records that can be read.
    """
    folder, lists = find_lists(prefix)
    image_size = read_image_size(folder)
    print("image_size", list(image_size))
    settings = PackSettings(image_size, quality, encoding, color, folder)
    reports, skipped = [], 0
    for path_list in lists:
        path_rec = os.path.splitext(path_list)[0] + ".rec"
        print("Creating .rec file from", path_list, "in", folder)
        if shard != WHOLE:
            count, lost = pack_part(path_list, path_rec, settings, workers, shard)
            print(f"{path_rec}{shard.suffix}: {count} photos, {lost} of them skipped")
            skipped += lost
            continue
        report = pack_list(path_list, path_rec, settings, workers, CountPrinter())
        report_packing(path_list, report)
        reports.append(report)
        skipped += len(report.skipped)
    if reports:
        update_property(folder, max(report.identities for report in reports), image_size)
    return skipped


class CountPrinter:
    """Prints 2018's progress line whenever it is called with a multiple of 1000."""

    def __init__(self) -> None:
        self._before = time.time()

    def __call__(self, count: int) -> None:
        if count % COUNT_EVERY == 0:
            now = time.time()
            print("time:", now - self._before, " count:", count)
            self._before = now


def parse_truth(text: str) -> bool:
    """True or False, for `type=`; 2018's `type=bool` gave True for any text but the empty one."""
    if text.lower() not in ("true", "false", "1", "0", "yes", "no", ""):
        raise argparse.ArgumentTypeError(f"{text!r}: expected True or False")
    return text.lower() in ("true", "1", "yes")


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line: 2018's flags and defaults; `prefix` is made absolute."""
    parser = make_parser(__doc__)
    parser.add_argument("prefix", metavar="PREFIX", help="folder, or beginning of a list's path")
    # 2018: the flags for making lists were declared, but did nothing.
    add = parser.add_argument_group("2018's flags for lists, which glint2lst makes").add_argument
    add("--list", type=parse_truth, default=False, help="must be False: glint2lst makes lists")
    add("--exts", nargs="+", default=[".jpeg", ".jpg"], help="no effect")
    add("--chunks", type=int, default=1, help="no effect")
    add("--train-ratio", type=float, default=1.0, help="no effect")
    add("--test-ratio", type=float, default=0, help="no effect")
    add("--recursive", type=parse_truth, default=False, help="no effect")
    add("--shuffle", type=parse_truth, default=True, help="no effect: training shuffles")
    add("--pack-label", type=parse_truth, default=False, help="no effect")
    add = parser.add_argument_group("packing").add_argument
    add("--quality", type=int, default=95, help="JPEG quality, 1-100, or PNG compression, 1-9")
    add("--num-thread", type=int, default=1, help="photos processed in parallel")
    add(
        "--shard",
        type=Shard.parse,
        default=WHOLE,
        metavar="I/N",
        help="only encode part I (from 0) of N; the same command without --shard, after all parts, "
        "puts them together",
    )
    add(
        "--color",
        type=int,
        default=1,
        choices=[-1, 0, 1],
        help="unaligned photos: 1 colour, 0 grey, -1 as in the photo, without transparency",
    )
    add(
        "--encoding",
        default=".jpg",
        choices=[".jpg", ".png"],
        help="image format of unaligned photos",
    )
    args = parser.parse_args(argv)
    if args.list:
        parser.error("--list True: make lists with python -m src.data.glint2lst")
    if not 1 <= args.quality <= 100:
        parser.error(f"--quality {args.quality}: expected 1 to 100")
    if args.num_thread < 1:
        parser.error(f"--num-thread {args.num_thread}: expected at least 1")
    args.prefix = os.path.abspath(args.prefix)
    return args


def main(args: Sequence[str] | argparse.Namespace | None = None) -> int:
    """Runs the command; returns 1 if photos were skipped, otherwise 0."""
    configure_logging()
    args = resolve_arguments(parse_args, args)
    shard = getattr(args, "shard", WHOLE)
    skipped = pack(args.prefix, args.quality, args.encoding, args.color, args.num_thread, shard)
    return SKIPPED_STATUS if skipped else 0


if __name__ == "__main__":
    run_command(main)
