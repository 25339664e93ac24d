#!/usr/bin/env bash
# Start the process graph on an edge box, a Jetson say:   deploy/launch.sh [CONFIG] [--set KEY=VALUE ...]
# CONFIG defaults to configs/jetson.toml beside this script; environment.sh says which Python is used.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

config="$here/configs/jetson.toml"
if [[ $# -gt 0 && $1 != --* ]]; then
    config=$1
    shift
fi
if [[ ! -r $config ]]; then
    echo "launch.sh: $config: no such configuration; copy $here/configs/edge.toml and edit it" >&2
    exit 2
fi

# On a Jetson the clocks follow the load and a window a second does not raise them; MAXN and jetson_clocks keep them up.
if [[ -r /etc/nv_tegra_release ]] && command -v nvpmodel >/dev/null && [[ $(id -u) == 0 ]]; then
    nvpmodel -m 0 || true
    if command -v jetson_clocks >/dev/null; then
        jetson_clocks || true
    fi
fi

exec "$python" -m clownfish up "$config" "$@"
