"""Errors with a message for users."""

from __future__ import annotations


class MMRecError(Exception):
    """An error that the user can correct. Its one-line message says what came, what was expected, and what to do next.

    The command line prints it and exits with 2; a page shows it as a message. Any other exception is a bug in MMRec and
    keeps its traceback.
    """

    def __str__(self) -> str:
        """The message in one line, even if it quotes a cell with line breaks."""
        return " ".join(super().__str__().splitlines())


def short(value: object, longest: int = 60) -> str:
    """A value from a file, shortened for a message."""
    text = str(value)
    return text if len(text) <= longest else f"{text[:longest]}…"


class DamagedFile(MMRecError):
    """A file that cannot be read, or whose content is not as expected.

    Args:
        place: the file, as messages name it.
        fault: what is wrong with it, such as ``it is cut short``.
        remedy: what to do, one sentence.
    """

    def __init__(self, place: str, fault: str, remedy: str) -> None:
        super().__init__(f"{place} is damaged: {fault}. It was left as it is. {remedy}")
        self.place, self.fault, self.remedy = place, fault, remedy


def unknown_name(kind: str, name: str, known: list[str]) -> MMRecError:
    """The error for an unknown name; it lists the known names and suggests the most similar one."""
    import difflib

    near = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    listed = ", ".join(known) if known else "none yet"
    return MMRecError(f"Unknown {kind} '{name}'.{hint} Known: {listed}.")
