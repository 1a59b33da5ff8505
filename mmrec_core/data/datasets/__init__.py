"""Dataset readers, one file per dataset family: each finds and reads its raw data."""
