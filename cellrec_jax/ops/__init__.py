"""Array operations of detectors: fixed shapes, one image each, vmapped by callers."""
