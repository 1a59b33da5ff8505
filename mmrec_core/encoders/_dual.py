"""A small dual encoder: a tower for texts, a tower for posters, one space. Shared by ``mini_clip`` and its training."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmrec_core.reading.images import rgb
from mmrec_core.types import Array

if TYPE_CHECKING:
    from PIL.Image import Image

BUCKETS = 1 << 15
SIZE = (64, 96)
"""Width and height to which posters are brought."""
_WORD = re.compile(r"[^\W_]+")


@lru_cache(maxsize=200_000)
def _pieces(word: str) -> tuple[int, ...]:
    """Buckets of a word and of its beginnings, so that *robots* is near *robot*."""
    parts = [f"={word}", *(word[:n] for n in (4, 5, 6) if len(word) > n)]
    if len(word) > 3:
        parts.append(word[:-1] if word.endswith("s") else word)
    return tuple(zlib.crc32(part.encode()) % BUCKETS for part in parts)


def tokens(text: str) -> Array:
    """Bucket numbers of a text's words and word beginnings, int64 ``[≥ 1]``; any length, any alphabet."""
    found = [piece for word in _WORD.findall(text.lower()) for piece in _pieces(word)]
    return np.array(found or [0], np.int64)


def bags(parts: Sequence[Array]) -> tuple[Tensor, Tensor]:
    """Ragged token arrays as one flat tensor and where each begins."""
    sizes = np.array([len(p) for p in parts])
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]) if len(parts) else np.zeros(0, np.int64)
    flat = np.concatenate(parts) if len(parts) else np.zeros(0, np.int64)
    return torch.from_numpy(flat), torch.from_numpy(starts.astype(np.int64))


def pixels(image: Image) -> Array:
    """A picture as uint8 ``[3, 96, 64]``, stretched to the towers' size."""
    small = rgb(image).resize(SIZE, resample=3, reducing_gap=2.0)
    return np.ascontiguousarray(np.asarray(small, np.uint8).transpose(2, 0, 1))


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, width)
        self.one = nn.Conv2d(width, width, 3, padding=1)
        self.two = nn.Conv2d(width, width, 1)
        nn.init.zeros_(self.two.weight)
        assert self.two.bias is not None
        nn.init.zeros_(self.two.bias)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.two(F.gelu(self.one(self.norm(x))))


class ImageTower(nn.Module):
    """A convolutional network, ``[B, 3, 96, 64]`` uint8 → ``[B, width]``."""

    def __init__(self, width: int, channels: Sequence[int]) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, channels[0], 4, stride=4)]
        for at, size in enumerate(channels):
            layers += [_Block(size), _Block(size)]
            if at + 1 < len(channels):
                layers.append(nn.Conv2d(size, channels[at + 1], 2, stride=2))
        self.layers = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.LayerNorm(2 * channels[-1]), nn.Linear(2 * channels[-1], width))

    def forward(self, image: Tensor) -> Tensor:
        x = self.layers(image.float() / 127.5 - 1.0)
        pooled: Tensor = self.head(torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1))
        return pooled


class TextTower(nn.Module):
    """A weighted bag of hashed words with a small network on top: flat tokens and starts → ``[B, width]``."""

    def __init__(self, width: int, dim: int) -> None:
        super().__init__()
        self.words = nn.EmbeddingBag(BUCKETS, dim, mode="sum", include_last_offset=False)
        self.salience = nn.Embedding(BUCKETS, 1)
        nn.init.normal_(self.words.weight, std=0.1)
        nn.init.zeros_(self.salience.weight)
        self.deep = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, width))
        self.straight = nn.Linear(dim, width, bias=False)

    def forward(self, flat: Tensor, starts: Tensor) -> Tensor:
        weight = self.salience(flat).squeeze(1).exp()
        bag = F.normalize(self.words(flat, starts, per_sample_weights=weight), dim=1) * 8.0
        out: Tensor = self.straight(bag) + self.deep(bag)
        return out


class DualEncoder(nn.Module):
    """Both towers, a learned temperature, and a learned bias for the sigmoid loss.

    Args:
        width: numbers in a vector of the joint space.
        words: width of a word's vector.
        channels: channels of the image tower's stages.
    """

    def __init__(self, width: int = 128, words: int = 96, channels: Sequence[int] = (32, 64, 128)) -> None:
        super().__init__()
        self.width = width
        self.image = ImageTower(width, channels)
        self.text = TextTower(width, words)
        self.log_scale = nn.Parameter(torch.tensor(2.3))
        self.bias = nn.Parameter(torch.tensor(-8.0))

    def images(self, image: Tensor) -> Tensor:
        """Unit vectors ``[B, width]`` of posters."""
        return F.normalize(self.image(image), dim=1)

    def texts(self, flat: Tensor, starts: Tensor) -> Tensor:
        """Unit vectors ``[B, width]`` of texts."""
        return F.normalize(self.text(flat, starts), dim=1)


def infonce(text: Tensor, image: Tensor, log_scale: Tensor) -> Tensor:
    """Radford et al. 2021: each text must pick its own picture of the batch, each picture its text; ``[B]`` losses."""
    logits = log_scale.exp().clamp(max=100.0) * text @ image.T
    own = torch.arange(len(logits), device=logits.device)
    return 0.5 * (F.cross_entropy(logits, own, reduction="none") + F.cross_entropy(logits.T, own, reduction="none"))


def sigmoid_loss(text: Tensor, image: Tensor, log_scale: Tensor, bias: Tensor) -> Tensor:
    """Zhai et al. 2023 (SigLIP): every pair of the batch is a yes-or-no question of its own; ``[B]`` losses."""
    logits = log_scale.exp().clamp(max=100.0) * text @ image.T + bias
    sign = 2.0 * torch.eye(len(logits), device=logits.device) - 1.0
    return -F.logsigmoid(sign * logits).sum(1)
