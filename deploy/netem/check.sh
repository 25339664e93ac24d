#!/usr/bin/env bash
# Are the emulated networks what their profiles say, on this machine?   deploy/netem/check.sh [PROFILE ...]
# Exit status 1 where one is not.
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/lab.sh" check "$@"
