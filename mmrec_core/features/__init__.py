"""Vectors of items: encoded, imported, stored and read."""

from mmrec_core.features.encoding import SHARD, encode, make_encoder, restored
from mmrec_core.features.images import open_poster
from mmrec_core.features.importing import import_folder
from mmrec_core.features.prompts import prompt_lines, rich_text
from mmrec_core.features.store import (
    CONTENT,
    PAIRS,
    Features,
    available,
    checksum_of,
    content,
    damaged,
    folder_of,
    load,
    offered,
    offers,
    paired,
    split_pair,
    usual,
    write,
)

__all__ = [
    "CONTENT",
    "Features",
    "PAIRS",
    "SHARD",
    "available",
    "checksum_of",
    "content",
    "damaged",
    "encode",
    "folder_of",
    "import_folder",
    "load",
    "make_encoder",
    "offered",
    "offers",
    "open_poster",
    "paired",
    "prompt_lines",
    "restored",
    "rich_text",
    "split_pair",
    "usual",
    "write",
]
