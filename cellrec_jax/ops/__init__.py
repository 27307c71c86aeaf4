"""Array operations, fixed shapes, one image; only `matching` takes the batch."""
