"""The processes of the graph, one module each: sockets in, a machine of layer 0, sockets out.

Each is started as `python -m services.NAME --config FILE`, by `clownfish up` or by hand, in any order.
"""

import os
import sys

# One thread per process for every numerical library: two beside another busy process are many times slower (and the
# libraries read these variables when they are first imported, which is after this line).
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

# structlog loads rich, where it is installed, for pretty tracebacks: 5 MB in each of nine processes that print none.
if sys.argv[:1] == ["-m"]:  # `python -m services.NAME`, not a test that imports one
    sys.modules.setdefault("rich", None)  # type: ignore[arg-type]
