"""What happens inside a model: gradient steps, messages, attention, memory, losses and metrics, number by number."""
