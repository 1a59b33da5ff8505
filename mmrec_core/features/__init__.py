"""Item embeddings of plots and posters: encoding, import, storage and reading."""

from mmrec_core.features.encoding import SHARD, encode, make_encoder, restore_encoder
from mmrec_core.features.images import open_poster
from mmrec_core.features.importing import import_folder
from mmrec_core.features.prompts import prompt_lines, rich_text
from mmrec_core.features.store import (
    CONTENT,
    PAIRS,
    Features,
    available,
    available_inputs,
    checksum_of,
    content,
    damaged,
    default_encoder,
    encoder_list,
    folder_of,
    load,
    paired,
    split_pair,
    vectors_read,
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
    "encoder_list",
    "available_inputs",
    "open_poster",
    "paired",
    "prompt_lines",
    "restore_encoder",
    "rich_text",
    "split_pair",
    "default_encoder",
    "vectors_read",
    "write",
]
