"""Annotation files of other programs, a module each: `parse` gives `Annotations`.

Points and areas are in px of the full image from its top left corner. Which images they
belong to is for `data.readers` to find.
"""
