"""Finding damaged files and giving back space."""
