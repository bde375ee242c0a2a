import pytest

from src.common.json_text import DEEPEST_JSON, parse_json


def test_json_is_read():
    assert parse_json(b'{"a": [1, {"b": null}]}') == {"a": [1, {"b": None}]}
    assert parse_json("[" * (DEEPEST_JSON - 1) + "1" + "]" * (DEEPEST_JSON - 1))


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"a":' * 100_000,
        "[" * 40 + "]" * 40,
        "[" * 500 + "]" * 500,
        "[1, 2",
        "²",
        "9" * 10_000,
        b"\xff\xfe\xff",
        b"\0",
        "",
    ],
    ids=range(10),
)
def test_anything_else_is_a_value_error(text):
    with pytest.raises(ValueError):
        parse_json(text)
