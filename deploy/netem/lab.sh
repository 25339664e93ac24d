#!/usr/bin/env bash
# `clownfish lab …` as root, with the environment that deploy/launch.sh would use:   deploy/netem/lab.sh plan lan
# Needed beside it: ip and tc (package iproute2), nsenter and setpriv (util-linux). The kernel loads sch_netem by itself
# where it has it; without it /dev/net/tun is used.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/../environment.sh"

for tool in ip tc nsenter setpriv; do
    if ! command -v "$tool" >/dev/null; then
        echo "lab.sh: $tool is missing; install iproute2 and util-linux" >&2
        exit 2
    fi
done

exec "$python" -m clownfish lab "$@"
