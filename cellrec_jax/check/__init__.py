"""Looks for faults in annotated folders; a module a kind of fault."""
