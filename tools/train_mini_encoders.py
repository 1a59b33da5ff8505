"""Train the weights in ``assets/encoders`` again on thirteen generated worlds, and evaluate them on unseen worlds.

    python tools/train_mini_encoders.py [FOLDER]

Takes about half an hour on two cores. Worlds 101–112 are the training data, 201 is for early
stopping, 301 and the default world are only for the test.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

LEARNED, STOPPING, UNSEEN = range(101, 113), 201, (301, 0)


def main(folder: Path) -> None:
    """Train both encoders and print their evaluation."""
    os.environ.setdefault("MMREC_HOME", tempfile.mkdtemp(prefix="mmrec-encoders-"))
    from mmrec_core import features
    from mmrec_core.data import preparation
    from mmrec_core.training import contrastive

    worlds = {}
    for seed in (*LEARNED, STOPPING, *UNSEEN):
        name = f"world-{seed}"
        if name not in preparation.prepared():
            preparation.prepare("demo", name=name, options={"world_seed": seed, "scale": 0.02})
        worlds[seed] = preparation.open_dataset(name)
    for name in ("mini_clip", "mini_siglip"):
        file = folder / f"{name}.safetensors"
        record = contrastive.fit(
            [worlds[seed] for seed in (*LEARNED, STOPPING)],
            name,
            file,
            options={"max_epochs": 24, "precision": "bf16"},
            held_out=0,
        )
        scores = {
            f"world-{seed}": features.encode(worlds[seed], name, options={"weights": str(file)}, again=True)[
                "retrieval"
            ]
            for seed in UNSEEN
        }
        print(json.dumps({"encoder": name, **record, "unseen": scores}, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[1] / "assets" / "encoders")
