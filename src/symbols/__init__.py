"""The networks: one module per family, each with `get_symbol`."""
