"""Parts of the page Study: what a participant does, and what the host sees."""
