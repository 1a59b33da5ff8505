"""The database of classes and studies: SQLite in the home, or any server that ``MMREC_DATABASE`` names."""

from mmrec_core.database.engine import address, connected, newest, reading, schema_version, writing
from mmrec_core.database.tables import answers, classes, participants, ratings, responses, studies, subjects

__all__ = [
    "address",
    "answers",
    "classes",
    "connected",
    "newest",
    "participants",
    "ratings",
    "reading",
    "responses",
    "schema_version",
    "studies",
    "subjects",
    "writing",
]
