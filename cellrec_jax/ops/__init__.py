"""Array operations of detectors: fixed shapes, one image each, vmapped by callers.

Exception: `matching` takes the batch.
"""
