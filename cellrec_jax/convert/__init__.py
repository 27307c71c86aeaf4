"""Annotated sets written in the formats of other programs, a module each.

A module has `HOLDS`, what its format can say, and `write(folder, images, class_names)`.
"""
