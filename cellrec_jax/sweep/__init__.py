"""Many runs of one file: planned, run where missing, tabulated."""
