"""Prints the folder of LFW's photographs, fetched by scikit-learn's downloader where it is not yet.

scikit-learn keeps it in its data home (SCIKIT_LEARN_DATA, else ~/scikit_learn_data) and checks the
checksums.
"""

import contextlib
import os
import sys
from urllib.error import URLError

from sklearn.datasets import fetch_lfw_people, get_data_home

from src.common.errors import InputError, run_command


def lfw_folder(data_home=None):
    """Path of `lfw_funneled`, `<person>/<person>_0001.jpg`, 250×250; downloads it if need be.

    Raises
    ------
    InputError
        It is not there and cannot be downloaded.
    """
    folder = os.path.join(get_data_home(data_home), "lfw_home", "lfw_funneled")
    if not os.path.isdir(folder):
        # The call also loads pictures; with so many asked of each person those of one remain.
        with contextlib.redirect_stdout(sys.stderr):
            try:
                fetch_lfw_people(data_home=data_home, min_faces_per_person=500, resize=0.1)
            except (URLError, OSError) as error:
                raise InputError(
                    f"LFW cannot be downloaded ({error}); unpack lfw-funneled.tgz so that {folder} "
                    "holds <person>/<photo>, or use your own photos: PHOTOS=folder"
                ) from None
    return folder


def main():
    """The command."""
    print(lfw_folder())


if __name__ == "__main__":
    run_command(main)
