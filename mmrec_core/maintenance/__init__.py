"""Maintenance of the home: damaged files, and removal of unused ones."""
