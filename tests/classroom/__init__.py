"""Tests of classes: the database, joining, answering, rating, the experiment, and attacks."""
