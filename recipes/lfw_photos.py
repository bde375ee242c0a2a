"""Prints the folder of the LFW photos, after downloading them with scikit-learn if necessary.

scikit-learn verifies the checksums and stores the photos in its data folder: SCIKIT_LEARN_DATA, by
default ~/scikit_learn_data.
"""

import contextlib
import os
import sys
from urllib.error import URLError

from sklearn.datasets import fetch_lfw_people, get_data_home

from src.common.errors import InputError, run_command


def fetch_lfw(data_home: str | os.PathLike[str] | None = None) -> str:
    """Path of the folder `lfw_funneled`, downloaded if necessary.

    It contains `<person>/<person>_0001.jpg`, …, each 250×250.

    Parameters
    ----------
    data_home
        scikit-learn's data folder; None for its default.

    Raises
    ------
    InputError
        The folder does not exist and LFW cannot be downloaded.
    """
    folder = os.path.join(get_data_home(data_home), "lfw_home", "lfw_funneled")
    if not os.path.isdir(folder):
        # The call also loads photos into memory. Only one person has at least 500.
        with contextlib.redirect_stdout(sys.stderr):
            try:
                fetch_lfw_people(data_home=data_home, min_faces_per_person=500, resize=0.1)
            except (URLError, OSError) as error:
                raise InputError(
                    f"LFW cannot be downloaded ({error}); unpack lfw-funneled.tgz so that {folder} "
                    "contains <person>/<photo>, or use your own photos: PHOTOS=folder"
                ) from None
    return folder


def main() -> None:
    """Runs the command."""
    print(fetch_lfw())


if __name__ == "__main__":
    run_command(main)
