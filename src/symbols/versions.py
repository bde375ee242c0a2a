"""What builders refuse: depths and versions that a network does not have."""

from src.common.errors import InputError


def check_depth(letter, depth, possible):
    """InputError unless the number behind a network's letter is one of `possible`."""
    if depth not in possible:
        names = ", ".join(f"{letter}{number}" for number in possible)
        raise InputError(f"--network {letter}{depth}: expected one of {names}")


def check_version(name, value, network, possible=(0, 1)):
    """InputError unless `--version-NAME` is one of `possible`; `network`: 'an r network'."""
    if value not in possible:
        raise InputError(f"--version-{name} {value}: {network} has {', '.join(map(str, possible))}")
