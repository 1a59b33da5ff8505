"""One file per source of posters, plots and credits."""
