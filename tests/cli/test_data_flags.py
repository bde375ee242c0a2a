"""The data commands have the 2018 flags and defaults, and --help shows an example."""

import importlib
import os
import shlex

import pytest

# Flags and defaults as the 2018 scripts declared them.
DEFAULTS_2018 = {
    "face2rec2": (
        ["some/prefix"],
        {
            "prefix": os.path.abspath("some/prefix"),
            "list": False,
            "exts": [".jpeg", ".jpg"],
            "chunks": 1,
            "train_ratio": 1.0,
            "test_ratio": 0,
            "recursive": False,
            "shuffle": True,
            "quality": 95,
            "num_thread": 1,
            "color": 1,
            "encoding": ".jpg",
            "pack_label": False,
        },
    ),
    "dataset_merge": (
        [],
        {
            "include": "",
            "exclude": "",
            "output": "",
            "model": "../model/softmax,50",
            "batch_size": 32,
            "param1": 0.3,
            "param2": 0.4,
            "mode": 1,
            "test": 0,
        },
    ),
    "lfw2pack": ([], {"data_dir": "", "image_size": "112,96", "output": ""}),
}

# Flags and commands that 2018 did not have.
NEW = {
    "lfw2pack": ([], {"pairs": "", "nfolds": 10}),
    "glint2lst": (
        ["DIR", "a,b"],
        {"input_dir": "DIR", "targets": "a,b", "output": "", "image_size": "112,112"},
    ),
    "rename_photos": (
        ["--input-dir", "a", "--output-dir", "b"],
        {"input_dir": "a", "output_dir": "b", "names": "number", "quality": 95},
    ),
    "dataset_info": (["x"], {"data": "x", "rebuild": "", "unpack": "", "decode": False}),
}


def module_of(command):
    return importlib.import_module(f"src.data.{command}")


@pytest.mark.parametrize("table", [DEFAULTS_2018, NEW], ids=["2018", "new"])
def test_flags_and_defaults(table):
    for command, (argv, expected) in table.items():
        found = vars(module_of(command).parse_args(argv))
        assert {name: found[name] for name in expected} == expected, command


@pytest.mark.parametrize("command", sorted({*DEFAULTS_2018, *NEW}))
def test_help_shows_an_example(command, capsys):
    with pytest.raises(SystemExit) as stopped:
        module_of(command).parse_args(["--help"])
    assert stopped.value.code == 0
    assert f"python -m src.data.{command} " in capsys.readouterr().out


FACE2REC2_2018 = """some/prefix --chunks 2 --train-ratio 0.9 --test-ratio 0.1 --recursive True
    --shuffle True --quality 90 --num-thread 4 --color 0 --encoding .png --pack-label True
    --exts .png .jpg"""
MERGE_2018 = "--include a,b --exclude c --output d --model m,1 --param1 0.4 --param2 0.5 --mode 2"
LFW2PACK_2018 = "--data-dir a --image-size 112,112 --output b"


def test_2018_command_lines_are_parsed():
    args = module_of("face2rec2").parse_args(shlex.split(FACE2REC2_2018))
    assert (args.num_thread, args.encoding, args.exts) == (4, ".png", [".png", ".jpg"])
    assert (args.train_ratio, args.pack_label) == (0.9, True)
    args = module_of("dataset_merge").parse_args(shlex.split(MERGE_2018))
    assert (args.include, args.param2, args.mode) == ("a,b", 0.5, 2)
    args = module_of("lfw2pack").parse_args(shlex.split(LFW2PACK_2018))
    assert (args.data_dir, args.image_size, args.output) == ("a", "112,112", "b")
