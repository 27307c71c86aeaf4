"""Trains and runs cell detectors from imperfect annotations, in JAX."""

__version__ = "0.1.0"
