"""`python -m src.symbols` runs the command `src.network_info`."""

import runpy

if __name__ == "__main__":
    runpy.run_module("src.network_info", run_name="__main__", alter_sys=True)
