"""What finished runs show: maps of decoders, the prior, cells won and lost, radii."""
