# shellcheck shell=bash
# Sourced by the scripts here: sets `here`, the project, and `python`, the environment that is used. That is, in this order:
# the one that is active, .venv beside the project, the system's Python.
here="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
if [[ -n ${VIRTUAL_ENV:-} ]]; then
    python=$VIRTUAL_ENV/bin/python
elif [[ -x $here/.venv/bin/python ]]; then
    python=$here/.venv/bin/python
else
    python=$(command -v python3)
fi
# One thread per process: the graph has a process for each stage, and two thread pools on one core slow each other down.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} OPENBLAS_NUM_THREADS=${OPENBLAS_NUM_THREADS:-1}
if ! "$python" -c 'import clownfish' 2>/dev/null; then
    echo "$(basename "$0"): $python has no clownfish; run: $python -m pip install -e '${here}[torch]' -c '$here/constraints.txt'" >&2
    exit 2
fi
