"""Checked reading of files that people bring: tables, archives, pictures."""
