"""Sources of posters, plots and credits, one file per source."""
