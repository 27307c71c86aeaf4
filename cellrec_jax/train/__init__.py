"""One loop, one step, one pmap."""
