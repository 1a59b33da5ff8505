"""Progress in lessons: kept in the visitor's browser, by dataset and lesson, so that a reload or a restart keeps it."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field

import streamlit as st

from mmrec_core.types import Dataset

LONGEST = 400
"""Characters of an answer in one's own words."""
_STORE = st.components.v2.component(
    "mmrec.lesson_progress",
    html="<span></span>",
    js="""
const written = new Set()
export default function ({ data, setTriggerValue }) {
  const store = () => { try { return window.localStorage } catch { return null } }
  try {
    const save = data.save
    if (save && !written.has(save.change)) {
      written.add(save.change)
      if (save.value === null) store()?.removeItem(data.prefix + save.key)
      else store()?.setItem(data.prefix + save.key, save.value)
    }
  } catch { /* a full or forbidden store: the lesson works, its answers last as long as the page */ }
  if (!data.loaded) {
    const found = {}
    for (const key of data.keys) {
      let value = null
      try { value = store()?.getItem(data.prefix + key) ?? null } catch { /* as above */ }
      if (value !== null) found[key] = value
    }
    setTriggerValue("stored", found)
  }
}
""",
)
PREFIX = "mmrec.lesson/"


@dataclass
class Progress:
    """What a visitor has done of a lesson."""

    answers: dict[int, str] = field(default_factory=dict)
    """Answer by question."""
    seen: list[int] = field(default_factory=list)
    """Questions whose answer was revealed; what was answered to them stays."""

    def to_json(self) -> str:
        """As it is stored in the browser."""
        return json.dumps({"answers": self.answers, "seen": self.seen}, ensure_ascii=False)

    @staticmethod
    def from_json(text: object, steps: int) -> Progress:
        """Read what a browser stored; whatever does not fit is left out.

        Args:
            text: JSON, possibly damaged.
            steps: number of questions of the lesson.
        """
        try:
            found = json.loads(text) if isinstance(text, str) else {}
        except ValueError:
            found = {}
        found = found if isinstance(found, dict) else {}
        answers, seen = found.get("answers"), found.get("seen")
        return Progress(
            {
                int(at): said[:LONGEST]
                for at, said in (answers.items() if isinstance(answers, dict) else ())
                if at.isdecimal() and int(at) < steps and isinstance(said, str)
            },
            sorted({at for at in (seen if isinstance(seen, list) else ()) if type(at) is int and 0 <= at < steps}),
        )


def of_lesson(dataset: Dataset, lesson: str) -> Progress:
    """The progress of this visitor in a lesson."""
    held: dict[str, Progress] = st.session_state.setdefault("lessons", {})
    return held.setdefault(_key(dataset, lesson), Progress())


def changed(dataset: Dataset, lesson: str) -> None:
    """Store a lesson's progress in the browser with the next rerun."""
    st.session_state["lesson_change"] = (_key(dataset, lesson), secrets.token_hex(8))


def start_over(dataset: Dataset, lesson: str) -> None:
    """Forget the progress of a lesson, here and in the browser."""
    st.session_state.setdefault("lessons", {}).pop(_key(dataset, lesson), None)
    for key in [k for k in st.session_state if str(k).startswith(f"ans-{_key(dataset, lesson)}-")]:
        del st.session_state[key]
    changed(dataset, lesson)


def widget_key(dataset: Dataset, lesson: str, at: int) -> str:
    """The key of the widget that takes the answer to a question."""
    return f"ans-{_key(dataset, lesson)}-{at}"


def sync(dataset: Dataset, steps: dict[str, int]) -> None:
    """Read what the browser stored, once a session, and store what was changed; call it before any answer is shown.

    Args:
        dataset: the dataset that is shown.
        steps: number of questions by name of lesson.
    """
    loaded: set[str] = st.session_state.setdefault("lessons_loaded", set())
    held: dict[str, Progress] = st.session_state.setdefault("lessons", {})
    keys = {_key(dataset, name): n for name, n in steps.items()}
    change = st.session_state.get("lesson_change")
    save = None
    if change is not None:
        own = held.get(change[0])
        empty = own is None or not (own.answers or own.seen)
        save = {"key": change[0], "change": change[1], "value": None if own is None or empty else own.to_json()}
    result = _STORE(
        key="lesson-store",
        data={"prefix": PREFIX, "keys": [*keys], "loaded": dataset.name in loaded, "save": save},
        on_stored_change=lambda: None,
        height="content",
    )
    stored = result.stored
    if stored is None or dataset.name in loaded:
        return
    loaded.add(dataset.name)
    for key, text in dict(stored).items():
        if key not in keys or (key in held and held[key].answers):
            continue
        own = held[key] = Progress.from_json(text, keys[key])
        for at, said in own.answers.items():
            st.session_state[f"ans-{key}-{at}"] = said
    st.rerun()  # the browser then learns that it has been read


def _key(dataset: Dataset, lesson: str) -> str:
    return f"{dataset.name}/{lesson}"
