"""How Sphinx builds the documentation: `make docs` makes build/docs/index.html.

Pages are Markdown that reads on its own in the repository, too. Nothing is fetched while a page is looked at: fonts are
the system's, and equations MathML that `extensions/mathml` makes while building.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "extensions"), str(HERE.parent)]

from clownfish import __version__  # noqa: E402 - from this clone

project = "Clownfish"
version = release = __version__
html_show_copyright = html_show_sphinx = False

extensions = ["myst_parser", "mathml", "reference"]
exclude_patterns = ["extensions"]
highlight_language = "none"  # of blocks that name no language
nitpicky = True

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
myst_dmath_allow_digits = False  # $5 and $6 are sums of money

html_math_renderer = "mathml"
html_theme = "furo"
html_title = "Clownfish"
html_static_path = ["static"]
html_css_files = ["clownfish.css"]
html_copy_source = False

linkcheck_timeout = 10
linkcheck_retries = 2
