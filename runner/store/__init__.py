"""A run directory as files: written whole, read with care, the same for all that use them."""
