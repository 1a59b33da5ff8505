"""What trained models answer: recommendations, cold start, counterfactuals."""
