"""Small models with random weights, saved to folders as their makers save theirs, so that encoders load them by their
usual path."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

WORDS = (
    "a the film movie year genres director cast plot lonely robot in space love war house cat dog ship sea night"
).split()


def word_tokenizer(folder: Path, longest: int, **special: str) -> None:
    """A tokenizer of whole words, in the form that transformers reads."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    names = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", **special}
    vocabulary = {word: at for at, word in enumerate([*dict.fromkeys(names.values()), *WORDS])}
    held = Tokenizer(models.WordLevel(vocabulary, unk_token=names["unk_token"]))
    held.pre_tokenizer = pre_tokenizers.Whitespace()
    first, last = names["cls_token"], names["sep_token"]
    held.post_processor = processors.TemplateProcessing(
        f"{first} $A {last}", None, [(first, vocabulary[first]), (last, vocabulary[last])]
    )
    PreTrainedTokenizerFast(tokenizer_object=held, model_max_length=longest, **names).save_pretrained(folder)


def bert(folder: Path, width: int = 768) -> Path:
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    BertModel(
        BertConfig(
            vocab_size=64,
            hidden_size=width,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=64,
            max_position_embeddings=32,
        )
    ).save_pretrained(folder)
    word_tokenizer(folder, 32)
    return folder


def minilm(folder: Path) -> Path:
    return bert(folder, 384)


def mpnet(folder: Path) -> Path:
    from transformers import MPNetConfig, MPNetModel

    torch.manual_seed(0)
    MPNetModel(
        MPNetConfig(
            vocab_size=64,
            hidden_size=768,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=64,
            max_position_embeddings=34,
        )
    ).save_pretrained(folder)
    word_tokenizer(folder, 32)
    return folder


def qwen2(folder: Path) -> Path:
    from transformers import Qwen2Config, Qwen2Model

    torch.manual_seed(0)
    info = Qwen2Config(
        vocab_size=64,
        hidden_size=1536,
        num_hidden_layers=2,
        num_attention_heads=12,
        num_key_value_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    Qwen2Model(info).save_pretrained(folder)
    word_tokenizer(folder, 64)
    return folder


def resnet(folder: Path) -> Path:
    from transformers import ResNetConfig, ResNetModel, ViTImageProcessor

    torch.manual_seed(0)
    ResNetModel(
        ResNetConfig(embedding_size=16, hidden_sizes=[64, 128, 256, 2048], depths=[1, 1, 1, 1])
    ).save_pretrained(folder)
    ViTImageProcessor(size={"height": 64, "width": 64}).save_pretrained(folder)
    return folder


def siglip(folder: Path) -> Path:
    from transformers import SiglipConfig, SiglipImageProcessor, SiglipModel

    torch.manual_seed(0)
    text = {
        "vocab_size": 64,
        "hidden_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": 16,
    }
    vision = {
        "hidden_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "image_size": 32,
        "patch_size": 16,
    }
    SiglipModel(SiglipConfig(text_config=text, vision_config=vision)).save_pretrained(folder)
    SiglipImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    word_tokenizer(folder, 16)
    return folder


CLIP: dict[str, Any] = {
    "embed_dim": 32,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 64, "layers": 2, "width": 64, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 4, "layers": 2},
}
MEAN, STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]


def open_clip_folder(folder: Path) -> Path:
    """A CLIP in OpenCLIP's form."""
    import open_clip
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    net = open_clip.CLIP(CLIP["embed_dim"], CLIP["vision_cfg"], CLIP["text_cfg"], quick_gelu=True)
    for weight in net.parameters():
        if weight.ndim > 1:
            torch.nn.init.normal_(weight, std=0.08)
    summary = {
        "model_cfg": CLIP,
        "preprocess_cfg": {"mean": MEAN, "std": STD, "interpolation": "bicubic", "resize_mode": "shortest"},
    }
    (folder / "open_clip_config.json").write_text(json.dumps(summary))
    save_file({k: v.contiguous() for k, v in net.state_dict().items()}, folder / "open_clip_model.safetensors")
    return folder


def clip_like(folder: Path, source: Path) -> Path:
    """The very same CLIP in transformers' form: weights renamed, fused projections taken apart."""
    import gzip

    import open_clip
    from safetensors.torch import load_file
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPTokenizer

    text, vision = CLIP["text_cfg"], CLIP["vision_cfg"]
    info = CLIPConfig(
        projection_dim=CLIP["embed_dim"],
        text_config={
            "vocab_size": 49408,
            "hidden_size": text["width"],
            "intermediate_size": 4 * text["width"],
            "num_hidden_layers": text["layers"],
            "num_attention_heads": text["heads"],
            "max_position_embeddings": 77,
            "hidden_act": "quick_gelu",
            "eos_token_id": 49407,
            "bos_token_id": 49406,
        },
        vision_config={
            "hidden_size": vision["width"],
            "intermediate_size": 4 * vision["width"],
            "num_hidden_layers": vision["layers"],
            "num_attention_heads": vision["width"] // vision["head_width"],
            "image_size": vision["image_size"],
            "patch_size": vision["patch_size"],
            "hidden_act": "quick_gelu",
        },
    )
    net, theirs = CLIPModel(info), load_file(source / "open_clip_model.safetensors")
    mine = {
        "logit_scale": theirs["logit_scale"],
        "text_projection.weight": theirs["text_projection"].T,
        "visual_projection.weight": theirs["visual.proj"].T,
    }
    mine |= {
        "text_model.embeddings.token_embedding.weight": theirs["token_embedding.weight"],
        "text_model.embeddings.position_embedding.weight": theirs["positional_embedding"],
        "vision_model.embeddings.class_embedding": theirs["visual.class_embedding"],
        "vision_model.embeddings.patch_embedding.weight": theirs["visual.conv1.weight"],
        "vision_model.embeddings.position_embedding.weight": theirs["visual.positional_embedding"],
    }
    for end in ("weight", "bias"):
        mine[f"text_model.final_layer_norm.{end}"] = theirs[f"ln_final.{end}"]
        mine[f"vision_model.pre_layrnorm.{end}"] = theirs[f"visual.ln_pre.{end}"]
        mine[f"vision_model.post_layernorm.{end}"] = theirs[f"visual.ln_post.{end}"]
        for tower, blocks, there in (
            ("text_model", text["layers"], "transformer"),
            ("vision_model", vision["layers"], "visual.transformer"),
        ):
            for at in range(blocks):
                new, old = f"{tower}.encoder.layers.{at}", f"{there}.resblocks.{at}"
                for part, value in zip("qkv", theirs[f"{old}.attn.in_proj_{end}"].chunk(3), strict=True):
                    mine[f"{new}.self_attn.{part}_proj.{end}"] = value
                mine[f"{new}.self_attn.out_proj.{end}"] = theirs[f"{old}.attn.out_proj.{end}"]
                for one, other in (
                    ("layer_norm1", "ln_1"),
                    ("layer_norm2", "ln_2"),
                    ("mlp.fc1", "mlp.c_fc"),
                    ("mlp.fc2", "mlp.c_proj"),
                ):
                    mine[f"{new}.{one}.{end}"] = theirs[f"{old}.{other}.{end}"]
    missing = net.load_state_dict(mine, strict=False)
    assert not missing.unexpected_keys and all("position_ids" in key for key in missing.missing_keys), missing
    net.save_pretrained(folder)
    edge = CLIP["vision_cfg"]["image_size"]
    CLIPImageProcessor(
        size={"shortest_edge": edge}, crop_size={"height": edge, "width": edge}, image_mean=MEAN, image_std=STD
    ).save_pretrained(folder)
    simple = open_clip.SimpleTokenizer()
    merges = (
        gzip.open(Path(open_clip.__file__).parent / "bpe_simple_vocab_16e6.txt.gz", "rt", encoding="utf-8")
        .read()
        .split("\n")[1 : 49152 - 256 - 2 + 1]
    )
    names = {**simple.encoder}
    names["<|startoftext|>"], names["<|endoftext|>"] = 49406, 49407
    for odd in ("<start_of_text>", "<end_of_text>"):
        names.pop(odd, None)
    (folder / "vocab.json").write_text(json.dumps(names))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", encoding="utf-8")
    CLIPTokenizer.from_pretrained(folder, model_max_length=77).save_pretrained(folder)
    return folder


def imagebind(folder: Path) -> Path:
    """A small ImageBind with the authors' names: two blocks a tower, 1024 numbers out."""
    from safetensors.torch import save_file

    torch.manual_seed(0)
    vision, text, out = 64, 48, 1024
    held = {
        "modality_preprocessors.vision.cls_token": torch.randn(1, 1, vision),
        "modality_preprocessors.vision.rgbt_stem.proj.1.weight": torch.randn(vision, 3, 2, 56, 56) * 0.02,
        "modality_preprocessors.vision.pos_embedding_helper.pos_embed": torch.randn(1, 17, vision),
        "modality_trunks.vision.pre_transformer_layer.0.weight": torch.ones(vision),
        "modality_trunks.vision.pre_transformer_layer.0.bias": torch.zeros(vision),
        "modality_preprocessors.text.pos_embed": torch.randn(1, 77, text),
        "modality_preprocessors.text.token_embedding.weight": torch.randn(49408, text),
    }
    for sense, width, norm, project in (
        ("vision", vision, "modality_heads.vision.0", "modality_heads.vision.2"),
        ("text", text, "modality_heads.text.proj.0", "modality_heads.text.proj.1"),
    ):
        held |= {
            f"{norm}.weight": torch.ones(width),
            f"{norm}.bias": torch.zeros(width),
            f"{project}.weight": torch.randn(out, width),
        }
        for at in range(2):
            block = f"modality_trunks.{sense}.blocks.{at}"
            shapes = {
                "attn.in_proj_weight": (3 * width, width),
                "attn.in_proj_bias": (3 * width,),
                "attn.out_proj.weight": (width, width),
                "attn.out_proj.bias": (width,),
                "norm_1.weight": (width,),
                "norm_1.bias": (width,),
                "norm_2.weight": (width,),
                "norm_2.bias": (width,),
                "mlp.fc1.weight": (4 * width, width),
                "mlp.fc1.bias": (4 * width,),
                "mlp.fc2.weight": (width, 4 * width),
                "mlp.fc2.bias": (width,),
            }
            held |= {f"{block}.{name}": torch.randn(shape) * 0.1 for name, shape in shapes.items()}
    folder.mkdir(parents=True, exist_ok=True)
    save_file(held, folder / "imagebind.safetensors")
    return folder / "imagebind.safetensors"


FOLDERS = {
    "bert": bert,
    "mpnet": mpnet,
    "qwen2": qwen2,
    "hf_text": bert,
    "minilm": minilm,
    "imagebind": imagebind,
    "resnet": resnet,
    "hf_image": resnet,
    "hf_dual": siglip,
}
OPEN_CLIP = ("open_clip", "clip", "siglip", "vit_l_14", "so400m_siglip")


SIGLIP: dict[str, Any] = {
    "embed_dim": 768,
    "init_logit_bias": -10,
    "custom_text": True,
    "vision_cfg": {
        "image_size": 224,
        "timm_model_name": "vit_base_patch16_siglip_224",
        "timm_model_pretrained": False,
        "timm_pool": "map",
        "timm_proj": "none",
    },
    "text_cfg": {
        "context_length": 16,
        "vocab_size": 64,
        "width": 768,
        "heads": 12,
        "layers": 2,
        "no_causal_mask": True,
        "proj_bias": True,
        "pool_type": "last",
        "norm_kwargs": {"eps": 1e-6},
    },
}


def siglip_pair() -> tuple[Any, Any]:
    """A SigLIP by OpenCLIP (timm's image tower, two text blocks) and the very same one by transformers."""
    from open_clip.model import CustomTextCLIP
    from transformers import SiglipConfig, SiglipModel

    torch.manual_seed(0)
    summary = {k: v for k, v in SIGLIP.items() if k != "custom_text"}
    one = CustomTextCLIP(**summary).eval()
    for weight in one.parameters():
        if weight.ndim > 1:
            torch.nn.init.normal_(weight, std=0.05)
    act = type(one.visual.trunk.blocks[0].mlp.act).__name__
    text = {
        "vocab_size": 64,
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 2,
        "num_attention_heads": 12,
        "max_position_embeddings": 16,
        "hidden_act": "gelu",
        "projection_size": 768,
    }
    vision = {
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "image_size": 224,
        "patch_size": 16,
        "hidden_act": "gelu" if act == "GELU" else "gelu_pytorch_tanh",
    }
    two = SiglipModel(SiglipConfig(text_config=text, vision_config=vision)).eval()
    theirs, mine = one.state_dict(), {}

    def block(new: str, old: str, names: dict[str, str], qkv: str) -> None:
        for end in ("weight", "bias"):
            for part, value in zip(
                "qkv", theirs[f"{old}.{qkv}{'.' if qkv == 'attn.qkv' else '_'}{end}"].chunk(3), strict=True
            ):
                mine[f"{new}.self_attn.{part}_proj.{end}"] = value
            mine.update({f"{new}.{there}.{end}": theirs[f"{old}.{here}.{end}"] for here, there in names.items()})

    shared = {
        "mlp.fc1": "mlp.fc1",
        "mlp.fc2": "mlp.fc2",
        "norm1": "layer_norm1",
        "norm2": "layer_norm2",
        "attn.proj": "self_attn.out_proj",
    }
    other = {
        "mlp.c_fc": "mlp.fc1",
        "mlp.c_proj": "mlp.fc2",
        "ln_1": "layer_norm1",
        "ln_2": "layer_norm2",
        "attn.out_proj": "self_attn.out_proj",
    }
    for at in range(12):
        block(f"vision_model.encoder.layers.{at}", f"visual.trunk.blocks.{at}", shared, "attn.qkv")
    for at in range(2):
        block(f"text_model.encoder.layers.{at}", f"text.transformer.resblocks.{at}", other, "attn.in_proj")
    pool, head = "visual.trunk.attn_pool", "vision_model.head"
    mine |= {
        "vision_model.embeddings.position_embedding.weight": theirs["visual.trunk.pos_embed"][0],
        f"{head}.probe": theirs[f"{pool}.latent"],
        "text_model.embeddings.token_embedding.weight": theirs["text.token_embedding.weight"],
        "text_model.embeddings.position_embedding.weight": theirs["text.positional_embedding"],
        "logit_scale": theirs["logit_scale"].reshape(1),
        "logit_bias": theirs["logit_bias"].reshape(1),
    }
    for end in ("weight", "bias"):
        mine[f"{head}.attention.in_proj_{end}"] = torch.cat([theirs[f"{pool}.q.{end}"], theirs[f"{pool}.kv.{end}"]])
        for new, old in (
            (f"{head}.attention.out_proj", f"{pool}.proj"),
            (f"{head}.layernorm", f"{pool}.norm"),
            (f"{head}.mlp.fc1", f"{pool}.mlp.fc1"),
            (f"{head}.mlp.fc2", f"{pool}.mlp.fc2"),
            ("vision_model.post_layernorm", "visual.trunk.norm"),
            ("text_model.final_layer_norm", "text.ln_final"),
            ("vision_model.embeddings.patch_embedding", "visual.trunk.patch_embed.proj"),
            ("text_model.head", "text.text_projection"),
        ):
            mine[f"{new}.{end}"] = theirs[f"{old}.{end}"]
    summary = two.load_state_dict(mine, strict=False)
    assert not summary.unexpected_keys and all("position_ids" in key for key in summary.missing_keys), summary
    return one, two
