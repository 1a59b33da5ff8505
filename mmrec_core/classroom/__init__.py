"""Classes: many people on one app, who join by a code, answer together and rate films."""
