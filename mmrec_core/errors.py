"""The one kind of error that people are meant to read."""

from __future__ import annotations


class MMRecError(Exception):
    """Something a person can mend: what came, what was expected, and what to do next, in one line.

    The command line prints it and exits with 2; a page shows it in a designed message. Anything that is
    not an ``MMRecError`` is a defect of ours and keeps its traceback.
    """

    def __str__(self) -> str:
        """The message in one line, whatever a file's cell that it quotes holds."""
        return " ".join(super().__str__().splitlines())


def short(value: object, longest: int = 60) -> str:
    """What a file holds, cut short, for a message."""
    text = str(value)
    return text if len(text) <= longest else f"{text[:longest]}…"


class DamagedFile(MMRecError):
    """A file that cannot be read, or does not hold what it should.

    Args:
        place: the file, as people are shown it.
        fault: what is wrong with it, such as ``it is cut short``.
        remedy: what to do, one sentence.
    """

    def __init__(self, place: str, fault: str, remedy: str) -> None:
        super().__init__(f"{place} is damaged: {fault}. It was left as it is. {remedy}")
        self.place, self.fault, self.remedy = place, fault, remedy


def unknown_name(kind: str, name: str, known: list[str]) -> MMRecError:
    """The error for a name nobody knows, with the names that are known and the nearest of them."""
    import difflib

    near = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    listed = ", ".join(known) if known else "none yet"
    return MMRecError(f"Unknown {kind} '{name}'.{hint} Known: {listed}.")
