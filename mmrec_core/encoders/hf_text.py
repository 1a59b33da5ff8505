"""Text encoders in transformers' form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch

from mmrec_core.config import setting
from mmrec_core.encoders._base import Encoder
from mmrec_core.encoders._hub import HubConfig, in_batches, pretrained
from mmrec_core.types import Array, Modality

PRESETS: dict[str, dict[str, Any]] = {
    "hf_text": {},
    "minilm": {"weights": "sentence-transformers/all-MiniLM-L6-v2", "pooling": "mean", "longest": 256},
    "mpnet": {"weights": "sentence-transformers/all-mpnet-base-v2", "pooling": "mean", "longest": 384},
    "bert": {"weights": "google-bert/bert-base-uncased", "pooling": "cls"},
    "qwen2": {
        "weights": "Alibaba-NLP/gte-Qwen2-1.5B-instruct",
        "pooling": "last",
        "causal": False,
        "longest": 1024,
        "batch_size": 4,
    },
}
SUMMARIES = {
    "hf_text": "Any sentence encoder in transformers' form, from the hub or a folder.",
    "minilm": "Sentence encoder all-MiniLM-L6-v2, 384 numbers per plot (Reimers and Gurevych 2019; Wang et al. 2020).",
    "mpnet": "Sentence encoder all-mpnet-base-v2, 768 numbers per plot (Reimers and Gurevych 2019; Song et al. 2020).",
    "bert": "BERT-base, the [CLS] vector of 768 numbers per plot (Devlin et al. 2019).",
    "qwen2": "Text encoder gte-Qwen2-1.5B-instruct, 1,536 numbers per plot (Li et al. 2023); large.",
}


class HFText(Encoder):
    """Sentence encoders in transformers' form: MPNet (768), BERT's [CLS] (768), gte-Qwen2-1.5B-instruct (1536), or any
    other.

    Tokens become one vector by their mean, by the first ([CLS]) or by the last one that is no padding. Films are
    documents, for which gte-Qwen2 wants no instruction.
    """

    class Config(HubConfig):
        """Which model, and how its tokens become one vector."""

        weights: str = setting(
            "sentence-transformers/all-MiniLM-L6-v2", "a folder with the model's files, or its name on the hub"
        )
        pooling: Literal["mean", "cls", "last"] = setting("mean", "mean of all tokens, the first one, or the last one")
        causal: bool = setting(
            True,
            "whether a decoder's tokens see only those before them; gte-Qwen2 was trained to see all",
            advanced=True,
        )
        longest: int = setting(
            512, "tokens read at most; a model that takes fewer decides", ge=8, le=32_768, unit="tokens", advanced=True
        )

    config: Config
    modalities: ClassVar[tuple[Modality, ...]] = ("text",)
    weighs: ClassVar[bool] = True

    def __init__(self, name: str, config: Config, device: str = "cpu") -> None:
        super().__init__(name, config, device)
        self.net, self.tokens = pretrained(name, config, device, "AutoTokenizer")
        if self.tokens.pad_token is None:
            self.tokens.pad_token = self.tokens.eos_token
        self.tokens.padding_side = "right"
        info = self.net.config
        positions = int(getattr(info, "max_position_embeddings", config.longest))
        offset = (
            2 if info.model_type in {"mpnet", "roberta", "xlm-roberta", "camembert"} else 0
        )  # rows kept for padding
        self.longest = min(config.longest, positions - offset, int(min(self.tokens.model_max_length, 1 << 20)))

    def width(self, modality: Modality) -> int:
        """The model's hidden size."""
        return int(self.net.config.hidden_size)

    def encode_text(self, texts: Sequence[str]) -> Array:
        """Cut at the model's own length."""

        def compute(part: Sequence[Any]) -> torch.Tensor:
            read = self.tokens(
                list(part), padding=True, truncation=True, max_length=self.longest, return_tensors="pt"
            ).to(self.device)
            mask = read["attention_mask"]
            given: dict[str, Any] = dict(read)
            if not self.config.causal:  # every token sees every token that is no padding
                seen = mask[:, None, None, :].bool().expand(-1, 1, mask.shape[1], -1)
                floor = torch.finfo(self.net.dtype).min
                given["attention_mask"] = torch.zeros(seen.shape, dtype=self.net.dtype, device=self.device).masked_fill(
                    ~seen, floor
                )
            hidden = self.net(**given).last_hidden_state
            if self.config.pooling == "cls":
                return hidden[:, 0]
            if self.config.pooling == "last":
                return hidden[torch.arange(len(hidden), device=hidden.device), mask.sum(1) - 1]
            weight = mask[..., None].to(torch.float32)
            return (hidden.float() * weight).sum(1) / weight.sum(1).clamp(min=1.0)

        return in_batches(texts, self.config.batch_size, self.width("text"), compute)
