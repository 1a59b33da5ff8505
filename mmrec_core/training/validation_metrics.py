"""The validation metric of each kind of model, which early stopping and hyperparameter search use by default."""

VALIDATION_METRICS = {"rating": "rmse", "ranking": "ndcg@10", "click": "log_loss"}
"""By kind of a model's first head: RMSE for rating models, NDCG@10 for ranking models, log-loss for click models."""
