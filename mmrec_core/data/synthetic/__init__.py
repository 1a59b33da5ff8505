"""Generated datasets with known ground truth."""
