#!/usr/bin/env bash
# All that Figures 11 to 15 and Table II are drawn from, recorded over emulated networks, three quarters of an hour a data set:
#   sudo deploy/netem/figures.sh runs/lab/puppets
#   sudo deploy/netem/figures.sh runs/lab/ucf9 zoo:ucf9 FOLDER/streams/dev0{0..3}.mp4
# What OUT holds already is not recorded again. Nothing else should run meanwhile; where it must, put `chrt --rr 1` before it.
set -euo pipefail
if (($# < 1)); then
    echo "usage: figures.sh OUT [PAIR SOURCE SOURCE SOURCE SOURCE]" >&2
    exit 2
fi
out=$1 pair=${2:-zoo:puppets}
sources=("${@:3}")
((${#sources[@]})) || sources=(puppets:test/{0..3})
lab=$(dirname "${BASH_SOURCE[0]}")/lab.sh
configs=$(dirname "${BASH_SOURCE[0]}")/../../configs/lab

record() { # FILE EXPERIMENT SECONDS SOURCES OPTIONS…
    local file=$out/$1.json experiment=$configs/$2.toml seconds=$3 played=()
    for source in "${sources[@]:0:$4}"; do played+=(--source "$source"); done
    mkdir -p "$(dirname "$file")"
    [[ -s $file ]] && return
    # Whole or not at all: the lab writes after each of its runs.
    "$lab" run "$experiment" --pair "$pair" "${played[@]}" --seconds "$seconds" "${@:5}" --json "$file.part"
    mv "$file.part" "$file"
}

capped=(--profile capped-7.5 --profile capped-5)
trips=(--profile lan --profile regional --profile intercontinental)
rest=(--profile lte --profile flaky --profile dead)
baselines=(--method edge-only --method cloud-only)
discards=0
[[ $pair == zoo:puppets ]] && discards=1 # the other pair's early discard knows no background: what it discards has no answer
((discards)) && baselines+=(--method early-discard)

record fig13 fig13 15 4 "${baselines[@]}"
record fig13-nw6 fig13 15 4
record fig13-nw8 fig13 15 4 --n-w 8
record fig13-jpeg fig13 15 4 --codec jpeg
record fig11 fig14 25 4 "${baselines[@]}"
record fig14 fig14 25 4 "${trips[@]}" "${capped[@]}"
record fig12-nw8 fig14 25 4 --profile capped-5 --n-w 8
record fig12-jpeg fig14 25 4 --profile intercontinental --profile capped-5 --codec jpeg
((discards)) && record fig12-discard fig14 25 4 --profile capped-5 --method early-discard
# Every network, one stream each, long enough for two outages of `flaky`.
record every/edge fig14 35 1 --method edge-only
record every/png6 fig14 35 1 "${trips[@]}" "${capped[@]}" "${rest[@]}"
record every/png8 fig14 35 1 "${trips[@]}" "${capped[@]}" "${rest[@]}" --n-w 8
record every/jpeg6 fig14 35 1 "${trips[@]}" "${capped[@]}" "${rest[@]}" --codec jpeg
