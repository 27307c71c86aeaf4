"""Losses as pure functions of one image; callers vmap and reduce."""
