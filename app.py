"""MMRec in the browser; everything that surrounds the pages is in ``pages/parts/shell.py``."""

from pages.parts import shell

shell.run()
