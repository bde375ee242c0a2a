"""Every command that README shows is one that exists and takes these arguments."""

import importlib
import os
import re
import shlex
import subprocess
import sys

import pytest

from src import network_info

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OTHER_PROGRAMS = {"git", "pip", "cd", "export", "mkdir", "xargs"}


def shown_commands():
    """The commands in README's bash blocks, as lists of words without redirections."""
    with open(os.path.join(REPOSITORY, "README.md"), encoding="utf-8") as file:
        text = file.read()
    for block in re.findall(r"```bash\n(.*?)```", text, re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            for command in re.split(r"&&|\||;", re.sub(r"\s#.*", "", line)):
                words = shlex.split(command)
                while words and re.match(r"\w+=", words[0]):
                    words = words[1:]
                if ">" in words:
                    words = words[: words.index(">")]
                if words and words[0] != "tee":
                    yield words


def module_of(words):
    """(module, arguments) of a python command, run with -m or as a 2018 script."""
    words = [word for word in words[1:] if word != "-u"]
    if words[0] == "-m":
        return words[1], words[2:]
    for folder in ("src", "src/data", "src/align", "src/eval", "recipes", "benchmarks", ""):
        if os.path.exists(os.path.join(REPOSITORY, folder, words[0])):
            path = os.path.join(folder, words[0])
            return path[:-3].replace("/", "."), words[1:]
    raise AssertionError(f"README runs {words[0]}, which does not exist")


COMMANDS = [pytest.param(words, id=" ".join(words)[:80]) for words in shown_commands()]


@pytest.mark.parametrize("words", COMMANDS)
def test_the_command_can_be_run(words, tmp_path):
    if words[0] in OTHER_PROGRAMS:
        return
    if words[0] == "bash":
        script = os.path.join(REPOSITORY, words[1])
        assert os.path.exists(script), f"README runs {words[1]}, which does not exist"
        if re.match(r"recipes/\d\d_", words[1]):
            environment = {**os.environ, "WORK": str(tmp_path), "VENV": sys.prefix}
            subprocess.run(["bash", script, "--dry-run"], env=environment, check=True)
        return
    assert words[0].startswith("python"), f"README runs {words[0]}: what is it?"
    module, arguments = module_of(words)
    if module.startswith("src."):
        command = importlib.import_module(module)
        # 2018's aligner had another name for it.
        parse = getattr(command, "parse_args", None) or command.parse_arguments
        parse(arguments)
    elif module != "pytest":
        path = os.path.join(REPOSITORY, module.replace(".", "/") + ".py")
        subprocess.run([sys.executable, path, "--help"], check=True, stdout=subprocess.DEVNULL)


def test_readme_shows_commands():
    assert len(COMMANDS) > 15


@pytest.mark.parametrize(("flag", "smallest"), [("--all", 24), ("--losses", 6)])
def test_the_tables_are_what_the_command_prints(flag, smallest, capsys):
    network_info.main([flag])
    table = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert len(table) >= 2 + smallest
    with open(os.path.join(REPOSITORY, "README.md"), encoding="utf-8") as file:
        assert "\n".join(["", *table, ""]) in file.read()


def test_every_test_that_readme_names_exists():
    with open(os.path.join(REPOSITORY, "README.md"), encoding="utf-8") as file:
        text = file.read()
    files = {}
    for folder, _, names in os.walk(os.path.join(REPOSITORY, "tests")):
        files.update((name, os.path.join(folder, name)) for name in names)
    named = re.findall(r"`(?:tests/\w+/)?(test_\w+\.py)(?:::(\w+))?`", text)
    assert len(named) > 15
    for name, test in named:
        assert name in files, name
        with open(files[name], encoding="utf-8") as file:
            assert f"def {test}" in file.read(), (name, test)
    for path in re.findall(r"`(tests/[\w/.]+)`", text):
        assert os.path.exists(os.path.join(REPOSITORY, path)), path
