#!/usr/bin/env bash
# Make an interface of this box as bad as a network profile, for a while:   deploy/netem/shape.sh eth0 capped-5 [--seconds 600]
# It is cleared at the end, at Ctrl-C, and when this is killed; `clownfish lab clear eth0` clears it by hand.
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/lab.sh" shape "$@"
