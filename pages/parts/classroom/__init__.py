"""Parts of the page Class: joining, the participant's view, the host's and the projector's."""
