#!/usr/bin/env bash
# Starts one training run on several machines, or as several processes on this one:
#
#   bash recipes/launch.sh -n WORKERS -s SERVERS [-H hostfile] -- COMMAND
#
# COMMAND has --kvstore dist_sync, for example
#
#   bash recipes/launch.sh -n 2 -s 2 -- \
#     python -u -m src.train_softmax --kvstore dist_sync --data-dir faces --prefix model/y1
#
# `python -m src.training.launch --help` explains the flags.
set -euo pipefail

exec "${PYTHON:-python}" -m src.training.launch "$@"
