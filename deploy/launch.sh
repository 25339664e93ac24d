#!/usr/bin/env bash
# Start the process graph on an edge box, a Jetson say:   deploy/launch.sh [CONFIG] [--set KEY=VALUE ...]
# CONFIG defaults to configs/jetson.toml beside this script. The environment that is used is, in this order: the one that is
# active, .venv beside the project, the system's Python.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

config="$here/configs/jetson.toml"
if [[ $# -gt 0 && $1 != --* ]]; then
    config=$1
    shift
fi
if [[ ! -r $config ]]; then
    echo "launch.sh: $config: no such configuration; copy $here/configs/edge.toml and edit it" >&2
    exit 2
fi

if [[ -n ${VIRTUAL_ENV:-} ]]; then
    python=$VIRTUAL_ENV/bin/python
elif [[ -x $here/.venv/bin/python ]]; then
    python=$here/.venv/bin/python
else
    python=$(command -v python3)
fi
if ! "$python" -c 'import clownfish' 2>/dev/null; then
    echo "launch.sh: $python has no clownfish; run: $python -m pip install -e '$here[torch]' -c '$here/constraints.txt'" >&2
    exit 2
fi

# One thread per process: the graph has a process for each stage, and two thread pools on one core slow each other down.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} OPENBLAS_NUM_THREADS=${OPENBLAS_NUM_THREADS:-1}

# On a Jetson the clocks follow the load and a window a second does not raise them; MAXN and jetson_clocks keep them up.
if [[ -r /etc/nv_tegra_release ]] && command -v nvpmodel >/dev/null && [[ $(id -u) == 0 ]]; then
    nvpmodel -m 0 || true
    command -v jetson_clocks >/dev/null && jetson_clocks || true
fi

exec "$python" -m clownfish up "$config" "$@"
