"""Checked reading of user files: tables, archives and images, with size limits and readable errors."""
