"""Benchmarks of kernels, training and data; never timed tests.

`python -m cellrec_jax.bench all --json FILE`; `kernels` has the table of kernels.
"""
