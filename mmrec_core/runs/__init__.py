"""Runs: what is asked for, where it is kept, and who works on it."""

from mmrec_core.runs.eta import remaining, usual_seconds
from mmrec_core.runs.queue import (
    ahead,
    create,
    lane,
    most_workers,
    resume,
    revive,
    slots,
    spawn,
    start,
    start_all,
    stop,
    supervise_soon,
    supervisor_lock,
    waiting,
    wants_gpu,
    workers,
)
from mmrec_core.runs.record import (
    GRACE_S,
    KINDS,
    LIVE,
    NEEDED,
    NEWS,
    REMEDY,
    USUAL,
    Run,
    read_result,
    read_told,
    runs_folder,
)
from mmrec_core.runs.requests import (
    SHOWN_FIRST,
    crossing_params,
    donor_place,
    encoder_training_params,
    encoding_params,
    evaluation_params,
    oracle_names,
    oracle_params,
    projection_params,
    training_params,
    usable_models,
    usual_encoders,
)
from mmrec_core.runs.store import (
    NAME_LENGTH,
    SPLITS,
    all_runs,
    damaged_runs,
    finished,
    get,
    known_rows,
    liked_from,
    plain,
    rename,
    update,
)

__all__ = ["GRACE_S", "KINDS", "LIVE", "NAME_LENGTH", "NEEDED", "NEWS", "REMEDY", "Run", "SHOWN_FIRST", "SPLITS", "USUAL", "ahead", "all_runs", "create", "crossing_params", "damaged_runs", "donor_place", "encoder_training_params", "encoding_params", "evaluation_params", "finished", "get", "known_rows", "lane", "liked_from", "most_workers", "oracle_names", "oracle_params", "plain", "projection_params", "read_result", "read_told", "remaining", "rename", "resume", "revive", "runs_folder", "slots", "spawn", "start", "start_all", "stop", "supervise_soon", "supervisor_lock", "training_params", "update", "usable_models", "usual_encoders", "usual_seconds", "waiting", "wants_gpu", "workers"]
