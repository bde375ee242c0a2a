"""The networks, one module a family, each with `get_symbol`."""
