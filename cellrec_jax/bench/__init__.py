"""Benchmarks of kernels, training and data; never timed tests.

`python -m cellrec_jax.bench all --json FILE`; `__main__.BENCHMARKS` lists them.
"""
