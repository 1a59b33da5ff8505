"""Over all pairs of a sampled protocol at once, liked films and drawn ones of everybody together, as link prediction
counts."""

from __future__ import annotations

from mmrec_core.types import ClickRows


def pooled_auc(pooled: ClickRows) -> float:
    """The chance that any liked pair scores higher than any drawn one, of whichever users (ties half); 0.5 is
    guessing."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(pooled.truth, pooled.log_odds))


def pooled_ap(pooled: ClickRows) -> float:
    """Average precision of liked pairs among all pairs, of everybody together; guessing gives the share of liked
    pairs."""
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(pooled.truth, pooled.log_odds))
