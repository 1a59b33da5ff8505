"""One file per dataset: how its raw data are found and read."""
