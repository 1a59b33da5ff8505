"""What a worker process does, and tools around runs."""
