"""Join JavaScript modules into one, so that a component can consist of several files without a build step.

Streamlit runs a component's script from a string, where relative imports do not resolve.
"""

from __future__ import annotations

import re
from pathlib import Path

_IMPORT = re.compile(r'^import \{[^}]*\} from "(\./[\w-]+\.mjs)"\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=const |class |function |async )", re.MULTILINE)


def bundle(entry: Path) -> str:
    """The text of a module and all that it imports, each file once and before those that use it.

    Modules may use named imports of files beside them and named exports; ``export default`` only in ``entry``. All
    share one scope, so a name at the top level of a file must be unique among the files.

    Raises:
        FileNotFoundError: a file that is imported does not exist.
    """
    done: dict[Path, str] = {}

    def add(file: Path) -> None:
        text = file.read_text(encoding="utf-8")
        for name in _IMPORT.findall(text):
            if file.parent / name not in done:
                add(file.parent / name)
        body = _IMPORT.sub("", text)
        done[file] = f"// {file.name}\n" + (body if file == entry else _EXPORT.sub("", body))

    add(entry)
    return "\n".join(done.values())
