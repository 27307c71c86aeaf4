"""Runs a sweep file: what is missing of it, then its table and its figure.

    python launch/sweep.py launch/sweeps/point_table1.toml --root FOLDER

Repeat the command to go on after an interruption; see --help.
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # of runs, too; JAX sets 1

import jax

from cellrec_jax.sweep import command

# The runs have the accelerator to themselves: this process only starts them.
jax.config.update("jax_platforms", "cpu")

if __name__ == "__main__":
    sys.exit(command.run(sys.argv[1:]))
