"""Item embeddings of plots and posters: encoding, import, storage and reading."""

from mmrec_core.features.encoding import SHARD, encode, make_encoder, restore_encoder
from mmrec_core.features.images import open_poster
from mmrec_core.features.importing import import_folder
from mmrec_core.features.prompts import prompt_lines, rich_text
from mmrec_core.features.store import (
    ALL,
    PAIRS,
    Features,
    available,
    available_inputs,
    canonical,
    checksum_of,
    content,
    content_choices,
    damaged,
    default_encoder,
    encoder_list,
    encoders_behind,
    folder_of,
    load,
    paired,
    parts_of,
    sources,
    split_pair,
    vectors_read,
    write,
)
from mmrec_core.types import in_order

__all__ = [
    "ALL",
    "Features",
    "PAIRS",
    "SHARD",
    "available",
    "canonical",
    "checksum_of",
    "content",
    "content_choices",
    "damaged",
    "encode",
    "folder_of",
    "import_folder",
    "in_order",
    "load",
    "make_encoder",
    "encoder_list",
    "encoders_behind",
    "available_inputs",
    "open_poster",
    "paired",
    "parts_of",
    "prompt_lines",
    "restore_encoder",
    "rich_text",
    "sources",
    "split_pair",
    "default_encoder",
    "vectors_read",
    "write",
]
