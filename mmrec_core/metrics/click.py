"""How well predicted log-odds tell ones from zeros, over all rows at once."""

from __future__ import annotations

import numpy as np

from mmrec_core.types import ClickRows

LOWER_IS_BETTER = {"log_loss", "normalised_entropy"}


def auc(clicks: ClickRows) -> float:
    """The chance that a row labelled 1 scores higher than one labelled 0, over all rows; 0.5 is guessing."""
    from sklearn.metrics import roc_auc_score

    if len(np.unique(clicks.truth[clicks.weight > 0])) < 2:
        return float("nan")
    return float(roc_auc_score(clicks.truth, clicks.log_odds, sample_weight=clicks.weight))


def log_loss(clicks: ClickRows) -> float:
    """Average surprise at the true label, in nats; lower is better (binary cross-entropy)."""
    return float(np.average(np.logaddexp(0, clicks.log_odds) - clicks.truth * clicks.log_odds, weights=clicks.weight))


def normalised_entropy(clicks: ClickRows) -> float:
    """Log-loss as a share of what the base rate alone would give; below 1 the model knows more (He et al. 2014)."""
    rate = float(np.average(clicks.truth, weights=clicks.weight))
    if not 0 < rate < 1:
        return float("nan")
    return log_loss(clicks) / -(rate * np.log(rate) + (1 - rate) * np.log(1 - rate))


def accuracy(clicks: ClickRows) -> float:
    """Share of rows whose label is the more likely one by the prediction."""
    return float(np.average((clicks.log_odds > 0) == (clicks.truth > 0), weights=clicks.weight))
