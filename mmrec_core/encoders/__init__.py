"""One file per encoder: what turns plots and posters into vectors."""
