"""Every encoder there is, asked the same: unit vectors, the same ones each time, whatever the input looks like."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmrec_core import features, registry
from mmrec_core.data import preparation
from mmrec_core.encoders._base import Encoder
from mmrec_core.encoders.aligned import Aligned
from mmrec_core.errors import MMRecError
from mmrec_core.reading import images
from tests.encoders import weights

TEXTS = [
    "Movie: A\nYear: 1999\nPlot: a lonely robot in space",
    "the sea at night",
    "a cat",
    "",
    "ü 漢字 🎬 " * 3,
    "ship " * 5_000,
]
TRUE_WIDTH = {"minilm": 384, "mpnet": 768, "bert": 768, "qwen2": 1536, "resnet": 2048, "imagebind": 1024}
"""What the founding configurations are to give; the small models here keep it."""


def pictures() -> list[Image.Image]:
    """Of every mode and size that posters come in."""
    rng = np.random.default_rng(0)
    colour = Image.fromarray(rng.integers(0, 255, (120, 80, 3), np.uint8))
    palette = colour.convert("P")
    palette.info["transparency"] = 0
    return [
        colour,
        colour.convert("L"),
        colour.convert("RGBA"),
        colour.convert("LA"),
        palette,
        colour.convert("CMYK"),
        colour.convert("1"),
        colour.resize((1, 1)),
        colour.resize((3, 900)),
        Image.fromarray(rng.integers(0, 65_535, (40, 30)).astype(np.uint16)),
    ]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Encoder]:
    return {}


def joint_of_two() -> Encoder:
    """A joint space of two encoders, with random heads."""
    made = Aligned("aligned:mini_clip+mini_siglip", registry.config("encoders", "aligned", {"width": 16}))
    parts = {modality: features.make_encoder(name) for modality, name in made.parts.items()}
    rng, heads = np.random.default_rng(0), {}
    for modality, part in parts.items():
        shapes = {"weight": (16, part.width(modality)), "bias": (16,), "mean": (part.width(modality),)}
        heads |= {f"{modality}.{k}": rng.standard_normal(shape).astype(np.float32) for k, shape in shapes.items()}
        heads[f"{modality}.std"] = np.ones(part.width(modality), np.float32)
    made.restore(heads)
    made.connect(parts)
    made.name = "aligned"
    return made


@pytest.fixture(params=registry.names("encoders"))
def encoder(
    request: pytest.FixtureRequest, made: dict[str, Encoder], tmp_path_factory: pytest.TempPathFactory
) -> Encoder:
    name = str(request.param)
    if name not in made:
        options = {}
        if registry.load("encoders", name).weighs:
            folder = tmp_path_factory.mktemp(name)
            place = weights.open_clip_folder(folder) if name in weights.OPEN_CLIP else weights.FOLDERS[name](folder)
            options = {"weights": str(place)}
        made[name] = features.make_encoder(name, options) if name != "aligned" else joint_of_two()
        if made[name].fits:
            made[name].fit([text for text in TEXTS if text.strip()])
    return made[name]


def check(encoder: Encoder, vectors: np.ndarray, n: int, width: int) -> None:
    assert vectors.shape == (n, width) and vectors.dtype == np.float32 and np.isfinite(vectors).all()
    length = np.linalg.norm(vectors, axis=1)
    assert np.all(np.isclose(length, 1.0, atol=1e-4) | (length == 0)), encoder.name


def test_texts(encoder: Encoder) -> None:
    if "text" not in encoder.modalities:
        return
    found = encoder.encode_text(TEXTS)
    check(encoder, found, len(TEXTS), encoder.width("text"))
    assert np.array_equal(found, encoder.encode_text(TEXTS)), "the same each time"
    alone = np.concatenate([encoder.encode_text([text]) for text in TEXTS])
    assert np.allclose(found, alone, atol=2e-5), "whatever else is in the batch"
    assert not np.allclose(found[0], found[1], atol=1e-3), "unlike texts are told apart"
    assert encoder.width("text") == TRUE_WIDTH.get(encoder.name, encoder.width("text"))
    assert encoder.encode_text([]).shape == (0, encoder.width("text"))


def test_pictures(encoder: Encoder) -> None:
    if "image" not in encoder.modalities:
        return
    shown = pictures()
    found = encoder.encode_images(shown)
    check(encoder, found, len(shown), encoder.width("image"))
    assert np.array_equal(found, encoder.encode_images(shown))
    alone = np.concatenate([encoder.encode_images([picture]) for picture in shown])
    assert np.allclose(found, alone, atol=2e-5)
    assert encoder.width("image") == TRUE_WIDTH.get(encoder.name, encoder.width("image"))
    assert encoder.encode_images([]).shape == (0, encoder.width("image"))
    grey = shown[1].convert("RGB")
    assert np.allclose(encoder.encode_images([grey])[0], found[1], atol=1e-5), "grey is grey in three channels"


def test_joint_spaces_have_one_width(encoder: Encoder) -> None:
    if encoder.joint:
        assert encoder.width("text") == encoder.width("image")


@pytest.fixture(scope="module")
def small_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the smallest catalog of generated films, posters and plots."""
    home = tmp_path_factory.mktemp("small") / "home"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMREC_HOME", str(home))
        preparation.prepare("demo", options={"films": 50, "scale": 0.05})
    return home


def test_it_encodes_a_catalog_end_to_end(encoder: Encoder, small_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random weights are thrown away afterwards: their figures mean nothing."""
    monkeypatch.setenv("MMREC_HOME", str(small_home))
    demo = preparation.open_dataset("demo")
    monkeypatch.setattr(features.encoding, "make_encoder", lambda *_: encoder)
    name = f"try-{encoder.name}"
    try:
        text = features.encode(demo, name)
        for modality in encoder.modalities:
            own = features.load(demo, name, modality)
            assert text["modality"][modality] == {"n": 50, "width": encoder.width(modality), "missing": 0}
            assert np.array_equal(own.items, np.arange(50)) and own.vectors.dtype == np.float16
        assert (text["retrieval"] is not None) == encoder.joint
    finally:
        import shutil

        shutil.rmtree(features.folder_of(demo, name), ignore_errors=True)


def test_the_same_weights_give_the_same_vectors_in_both_libraries(tmp_path: Path) -> None:
    """CLIP by OpenCLIP and by transformers: towers, tokenizers, cutting of long texts, preparation of pictures."""
    source = weights.open_clip_folder(tmp_path / "open_clip")
    other = weights.clip_like(tmp_path / "transformers", source)
    one = features.make_encoder("open_clip", {"weights": str(source)})
    two = features.make_encoder(f"hf:{other}")
    texts = [*TEXTS[:3], "Isn't it a café? Don't — 1984 films & more!", "ship and sea " * 200]
    assert np.abs(one.encode_text(texts) - two.encode_text(texts)).max() < 1e-4
    rng = np.random.default_rng(1)
    square = [Image.fromarray(rng.integers(0, 255, (64, 64, 3), np.uint8)) for _ in range(3)]
    assert np.abs(one.encode_images(square) - two.encode_images(square)).max() < 1e-4
    posters = [Image.fromarray(rng.integers(0, 255, (150, 100, 3), np.uint8)).resize((200, 300)) for _ in range(3)]
    assert (one.encode_images(posters) * two.encode_images(posters)).sum(1).min() > 0.995, (
        "resizing differs by a rounding"
    )


def test_siglip_is_the_same_in_both_libraries() -> None:
    """Towers, attention pooling, projections; the same numbers in, the same vectors out."""
    import torch

    one, two = weights.siglip_pair()
    draw = torch.Generator().manual_seed(1)
    pixels, ids = torch.randn(2, 3, 224, 224, generator=draw), torch.randint(1, 64, (3, 16), generator=draw)
    with torch.inference_mode():
        pairs = (
            (one.encode_image(pixels), two.get_image_features(pixel_values=pixels).pooler_output),
            (one.encode_text(ids), two.get_text_features(input_ids=ids).pooler_output),
        )
    for mine, theirs in pairs:
        assert (torch.nn.functional.normalize(mine) - torch.nn.functional.normalize(theirs)).abs().max() < 1e-4


def test_imagebind_attends_as_its_authors_wrote(tmp_path: Path) -> None:
    """Norm, attention, norm, network, each added; two equal frames; later words unseen: written out here by hand."""
    import torch
    from safetensors.torch import load_file

    file = weights.imagebind(tmp_path)
    made = features.make_encoder("imagebind", {"weights": str(file)})
    held = load_file(file)

    def block(x: torch.Tensor, at: str, mask: torch.Tensor | None) -> torch.Tensor:
        own = {k.removeprefix(at): v for k, v in held.items() if k.startswith(at)}
        norm = lambda x, name: torch.nn.functional.layer_norm(
            x, x.shape[-1:], own[f"{name}.weight"], own[f"{name}.bias"], 1e-6
        )
        q, k, v = (norm(x, "norm_1") @ own["attn.in_proj_weight"].T + own["attn.in_proj_bias"]).chunk(3, -1)
        heads = lambda z: z.unflatten(-1, (16, -1)).transpose(0, 1)
        score = heads(q) @ heads(k).transpose(1, 2) / (q.shape[-1] / 16) ** 0.5
        mixed = ((score if mask is None else score + mask).softmax(-1) @ heads(v)).transpose(0, 1).flatten(1)
        x = x + mixed @ own["attn.out_proj.weight"].T + own["attn.out_proj.bias"]
        inner = torch.nn.functional.gelu(norm(x, "norm_2") @ own["mlp.fc1.weight"].T + own["mlp.fc1.bias"])
        return x + inner @ own["mlp.fc2.weight"].T + own["mlp.fc2.bias"]

    tokens = made.tokens(["a lonely robot"])[0]
    x = (
        held["modality_preprocessors.text.token_embedding.weight"][tokens]
        + held["modality_preprocessors.text.pos_embed"][0]
    )
    for at in range(2):
        x = block(x, f"modality_trunks.text.blocks.{at}.", torch.full((77, 77), -torch.inf).triu(1))
    x = (
        torch.nn.functional.layer_norm(x[tokens.argmax()], (48,), eps=1e-6)
        @ held["modality_heads.text.proj.1.weight"].T
    )
    assert np.allclose(made.encode_text(["a lonely robot"])[0], (x / x.norm()).numpy(), atol=1e-4)
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (224, 224, 3), np.uint8))
    pixel = (
        torch.from_numpy(np.asarray(image)).permute(2, 0, 1) / 255
        - torch.tensor([0.48145466, 0.4578275, 0.40821073])[:, None, None]
    ) / torch.tensor([0.26862954, 0.26130258, 0.27577711])[:, None, None]
    frames = pixel[None, :, None].repeat(1, 1, 2, 1, 1)
    x = (
        torch.nn.functional.conv3d(
            frames, held["modality_preprocessors.vision.rgbt_stem.proj.1.weight"], stride=(2, 56, 56)
        )
        .flatten(2)[0]
        .T
    )
    x = (
        torch.cat([held["modality_preprocessors.vision.cls_token"][0], x])
        + held["modality_preprocessors.vision.pos_embedding_helper.pos_embed"][0]
    )
    x = torch.nn.functional.layer_norm(x, (64,), eps=1e-6)
    for at in range(2):
        x = block(x, f"modality_trunks.vision.blocks.{at}.", None)
    x = torch.nn.functional.layer_norm(x[0], (64,), eps=1e-6) @ held["modality_heads.vision.2.weight"].T
    assert np.allclose(made.encode_images([image])[0], (x / x.norm()).numpy(), atol=1e-4)


@pytest.mark.parametrize("name", [n for n in registry.names("encoders") if registry.load("encoders", n).weighs])
def test_weights_that_are_not_there_are_said_in_a_line(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "empty").mkdir()
    with pytest.raises(MMRecError) as info:
        features.make_encoder(name, {"weights": str(tmp_path / "empty")})
    assert "\n" not in str(info.value) and "--set weights=" in str(info.value)


def test_damaged_weights_of_ours_are_refused(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(b"12345678 not weights")
    with pytest.raises(MMRecError, match="does not hold weights"):
        features.make_encoder("mini_clip", {"weights": str(tmp_path / "w.safetensors")})
    with pytest.raises(MMRecError, match="is not a file"):
        features.make_encoder("mini_clip", {"weights": str(tmp_path / "none.safetensors")})


def test_pictures_somebody_brings(tmp_path: Path) -> None:
    held = io.BytesIO()
    Image.new("RGB", (10, 10)).save(held, "PNG")
    assert images.open_image(held.getvalue()).size == (10, 10)
    for bad in (held.getvalue()[:40], b"", b"<html>"):
        with pytest.raises(MMRecError, match="cannot be read as an image"):
            images.open_image(bad)
    with pytest.raises(MMRecError, match="cannot be read"):
        images.open_image(tmp_path / "none.png")
