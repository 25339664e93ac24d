#!/usr/bin/env bash
# Install Clownfish on a Jetson, or any Linux box with systemd, as a service; again: upgrade it. As root:
#   deploy/jetson/install.sh [--wheel FILE] [OPTIONS]       docs/jetson.md says the whole way
#
#   --wheel FILE          this wheel of Clownfish; without, one is built from the clone that this script lies in
#   --name NAME           of the graph: /etc/clownfish/NAME.toml, and the service clownfish@NAME (edge)
#   --config FILE         what NAME.toml is to begin with (configs/jetson.toml); one that is there is never overwritten
#   --extras LIST         extras of Clownfish (onnx,video)
#   --torch SPEC          NVIDIA's build for this JetPack, a file or a requirement as torch==2.8.0, in PyPI's place
#   --onnxruntime SPEC    likewise, onnxruntime-gpu
#   --index URL           package index that has them
#   --python PROGRAM      3.10 or newer (python3)
#   --opencv auto|system|pypi   the system's OpenCV, which has GStreamer on JetPack, or PyPI's, which has not (auto: the
#                         system's where it has GStreamer)
#   --pip-args "ARGS"     more for pip: "--no-index --find-links /media/usb/wheels" on a box without a network
#   --no-deps             install Clownfish alone: what it needs is there
#   --no-start            enable nothing and start nothing
#   --root DIR            install below DIR: into an image; implies --no-systemd. Paths inside stay those without DIR
#   --no-systemd          do not speak to a running systemd
#   --uninstall           remove it; configuration, keys and state stay
#   --purge               with --uninstall: these, too, and the user
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"

say() { printf 'install.sh: %s\n' "$*"; }
fail() {
    printf 'install.sh: %s\n' "$*" >&2
    exit 1
}

wheel='' name=edge config='' extras=onnx,video torch='' onnxruntime='' index='' python=python3 opencv=auto pip_args=()
deps=yes start=yes root='' systemd=yes uninstall='' purge=''
while (($#)); do
    case $1 in
    --wheel | --name | --config | --extras | --torch | --onnxruntime | --index | --python | --opencv | --pip-args | --root)
        (($# > 1)) || fail "$1 wants a value; the head of this script explains the options"
        ;;&
    --wheel) wheel=$2 ;;&
    --name) name=$2 ;;&
    --config) config=$2 ;;&
    --extras) extras=$2 ;;&
    --torch) torch=$2 ;;&
    --onnxruntime) onnxruntime=$2 ;;&
    --index) index=$2 ;;&
    --python) python=$2 ;;&
    --opencv) opencv=$2 ;;&
    --pip-args) read -r -a pip_args <<<"$2" ;;&
    --root) root=${2%/} systemd='' ;;&
    --wheel | --name | --config | --extras | --torch | --onnxruntime | --index | --python | --opencv | --pip-args | --root)
        shift 2
        continue
        ;;
    --no-deps) deps='' ;;
    --no-start) start='' ;;
    --no-systemd) systemd='' ;;
    --uninstall) uninstall=yes ;;
    --purge) purge=yes ;;
    -h | --help)
        sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"
        exit
        ;;
    *) fail "$1: no such option; the head of this script explains them" ;;
    esac
    shift
done
[[ $name =~ ^[A-Za-z0-9_-]{1,64}$ ]] || fail "--name $name: expected letters, digits, - and _"
[[ $opencv =~ ^(auto|system|pypi)$ ]] || fail "--opencv $opencv: expected auto, system or pypi"
[[ -z $purge || -n $uninstall ]] || fail "--purge goes with --uninstall"
[[ -n $root || $(id -u) == 0 ]] || fail "not root: run it with sudo (or with --root DIR, into a folder of yours)"
[[ -z $systemd || -d /run/systemd/system ]] || fail "no systemd runs here; in a container or an image give --no-systemd"

prefix=/opt/clownfish etc=$root/etc/clownfish
units=$root/etc/systemd/system
files=(
    "$here/clownfish@.service:$units/clownfish@.service:644"
    "$here/sysusers.conf:$root/usr/lib/sysusers.d/clownfish.conf:644"
    "$here/tmpfiles.conf:$root/usr/lib/tmpfiles.d/clownfish.conf:644"
    "$here/clownfish:$root/usr/local/bin/clownfish:755"
)

# -- remove -----------------------------------------------------------------------------------------------------------

if [[ -n $uninstall ]]; then
    if [[ -n $systemd ]]; then
        systemctl stop 'clownfish@*.service'
        for link in "$units"/*.wants/clownfish@*.service; do
            [[ ! -L $link ]] || systemctl disable --quiet "$(basename "$link")"
        done
    fi
    for file in "${files[@]}"; do
        IFS=: read -r _ target _ <<<"$file"
        rm -f "$target"
    done
    [[ ! -L $root$prefix ]] || rm "$root$prefix" # else it is another's
    rm -rf "$units/clownfish@.service.d" "$root$prefix".release-* "$root/var/cache/clownfish"
    [[ -z $systemd ]] || systemctl daemon-reload
    if [[ -n $purge ]]; then
        rm -rf "$etc" "$root/var/lib/clownfish"
        if [[ -z $root ]] && id clownfish >/dev/null 2>&1; then
            userdel clownfish
        fi
        say "removed, with configuration, keys and state"
    else
        say "removed; $etc and $root/var/lib/clownfish stay (--purge removes them, too)"
    fi
    exit
fi

# -- what it needs, before anything is changed ------------------------------------------------------------------------

command -v "$python" >/dev/null || fail "no Python called $python; give --python PROGRAM, of 3.10 or newer"
python=$(command -v "$python")
found=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
    fail "$python is Python $found; Clownfish wants 3.10 or newer (JetPack 6 brings 3.10). Give --python PROGRAM"
"$python" -c 'import ensurepip, venv' 2>/dev/null ||
    fail "$python has no venv; apt-get install python$found-venv"
for file in "$wheel" "$config"; do
    [[ -z $file || -r $file ]] || fail "$file cannot be read"
done
config=${config:-$here/../../configs/jetson.toml}
[[ -r $config || -e $etc/$name.toml ]] || fail "$config is not there; give --config FILE"

needed_mb=$([[ -n $deps ]] && echo 4000 || echo 200)
mkdir -p "$root/opt" "$root/usr/local/bin" "$units"
free_mb=$(df -Pm "$root/opt" | awk 'NR == 2 { print $4 }')
((free_mb >= needed_mb)) || fail "$free_mb MB are free on $root/opt, $needed_mb are needed: make room, or mount a disk there"

# Whether that Python's own OpenCV reads GStreamer pipelines, as a CSI camera needs.
has_gstreamer() {
    "$python" -I -c 'import sys, cv2; sys.exit(not cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER))' 2>/dev/null
}
if [[ $opencv == auto ]]; then
    opencv=pypi
    if has_gstreamer; then
        opencv=system
    fi
elif [[ $opencv == system ]]; then
    has_gstreamer || fail "the OpenCV of $python is not there, or has no GStreamer: apt-get install python3-opencv"
fi
before=$root$prefix
if [[ -n $deps && -z $onnxruntime && -d $before/. ]] &&
    "$before/bin/python" -I -m pip list 2>/dev/null | grep -q '^onnxruntime-gpu '; then
    fail "what is installed has onnxruntime-gpu: give --onnxruntime again, or --onnxruntime onnxruntime for the CPU's"
fi

# -- the environment: a new one beside the old, which a link then replaces, so that a cut of power leaves one whole ----

scratch=$(mktemp -d)
made=''
trap 'rm -rf "$scratch" ${made:+"$made"}' EXIT
pip() {
    # alone: neither PYTHONPATH nor a user's own packages count
    "$made/bin/python" -I -m pip --disable-pip-version-check --no-input "$@" ${pip_args[@]+"${pip_args[@]}"} ||
        fail "pip failed, its own words are above. Without a network bring wheels along: --pip-args '--no-index --find-links DIR'"
}

new_environment() {
    own=()
    [[ $opencv != system ]] || own+=(--system-site-packages)
    made=$(mktemp -d "$root$prefix.release-XXXXXX")
    chmod 755 "$made"
    say "environment with $python ($found), OpenCV: $opencv"
    "$python" -m venv ${own[@]+"${own[@]}"} "$made"
}

fill_environment() {
    from=(${index:+--extra-index-url "$index"})
    bounds=(--constraint "$here/constraints.txt")
    [[ -z $torch ]] || bounds=()
    leave_out=()
    [[ -z $onnxruntime ]] || leave_out+=(onnxruntime)
    [[ $opencv != system ]] || leave_out+=(opencv-python-headless)
    "$made/bin/python" -I "$here/requirements.py" "$wheel" "$extras" ${leave_out[@]+"${leave_out[@]}"} >"$scratch/requirements.txt"
    if [[ $opencv == system ]]; then
        # what was built with NumPy 1 cannot be loaded beside NumPy 2
        "$python" -I -c 'import numpy; print("numpy<%d" % (int(numpy.__version__.split(".")[0]) + 1))' >>"$scratch/requirements.txt"
    fi
    for spec in "$torch" "$onnxruntime"; do
        # from that index alone: on PyPI there are newer ones, without a Jetson's CUDA
        [[ -z $spec ]] || pip install --quiet ${index:+--index-url "$index"} --no-deps "$spec"
    done
    say "installing what Clownfish needs: $(wc -l <"$scratch/requirements.txt") requirements (minutes)"
    # those two again, by name: what they themselves need
    pip install --quiet --prefer-binary ${from[@]+"${from[@]}"} ${bounds[@]+"${bounds[@]}"} \
        ${torch:+"$torch"} ${onnxruntime:+"$onnxruntime"} --requirement "$scratch/requirements.txt"
}

check_config() { # PYTHON
    local file=$etc/$name.toml
    [[ -e $file ]] || file=$config
    "$1" -m clownfish config check "$file" ||
        fail "$file is not right for this release: correct it, then run this again. Nothing was changed"
}

put_in_place() {
    if [[ -n $root ]]; then # inside the image it is called otherwise
        grep -rlIF --null "$made" "$made/bin" "$made/pyvenv.cfg" | xargs -0 -r sed -i "s|$made|${made#"$root"}|g"
    fi
    echo "$asked" >"$made/installed"
    sync -f "$made"
    ln -sfnT "$(basename "$made")" "$root$prefix.next"
    mv -T "$root$prefix.next" "$root$prefix"
    sync -f "$root/opt"
    made=''
}

[[ ! -e $root$prefix || -L $root$prefix ]] || fail "$root$prefix is there, and not of this script: move it away"
if [[ -z $wheel ]]; then
    [[ -r $here/../../pyproject.toml ]] || fail "no clone of Clownfish around this script; give --wheel FILE"
    new_environment
    say "building a wheel"
    pip wheel --quiet --no-deps --wheel-dir "$scratch" "$here/../.."
    wheel=$(echo "$scratch"/clownfish-*.whl)
fi
asked="$(sha256sum <"$wheel") $("$python" -V) $python $opencv $extras $torch $onnxruntime $deps"
if [[ $asked == "$(cat "$root$prefix/installed" 2>/dev/null)" ]]; then
    say "the environment is the one that is asked for: it stays"
    check_config "$root/opt/$(readlink "$root$prefix")/bin/python"
else
    [[ -n $made ]] || new_environment
    if [[ -n $deps ]]; then
        fill_environment
    fi
    pip install --quiet --no-deps "$wheel"
    check_config "$made/bin/python"
    put_in_place
fi
release=$(readlink "$root$prefix")

# -- user, folders, unit, configuration -------------------------------------------------------------------------------

for file in "${files[@]}"; do
    IFS=: read -r source target mode <<<"$file"
    install -D -m "$mode" "$source" "$target"
done
if [[ $(systemctl --version 2>/dev/null | awk 'NR == 1 { print $2 }') -ge 254 ]]; then
    install -D -m 644 "$here/backoff.conf" "$units/clownfish@.service.d/backoff.conf"
fi
# Users have their numbers from that root, whose files may be another machine's.
number() { # passwd|group NAME
    awk -F: -v name="$2" '$1 == name { print $3 }' "$root/etc/$1" 2>/dev/null
}
if [[ $(id -u) != 0 ]]; then
    say "without root: the user, and whose the folders are, are left to the first boot of $root"
elif command -v systemd-sysusers >/dev/null; then
    systemd-sysusers ${root:+--root="$root"} clownfish.conf
elif [[ -z $root && -z $(number passwd clownfish) ]]; then
    useradd --system --home-dir /var/lib/clownfish --shell /usr/sbin/nologin clownfish
    for group in video render; do
        [[ -z $(number group $group) ]] || usermod --append --groups $group clownfish
    done
fi
while read -r _ folder mode user group _; do
    [[ $folder == /run/* && -n $root ]] && continue
    install -d -m "$mode" "$root$folder"
    if [[ $(id -u) == 0 && -n $(number passwd "$user") ]]; then
        chown "$(number passwd "$user"):$(number group "$group")" "$root$folder"
    fi
done <"$here/tmpfiles.conf"

# Who may read it is who may run it: it can name cameras with their passwords.
put_config() {
    install -m 640 "$config" "$1"
    [[ $(id -u) != 0 || -z $(number group clownfish) ]] || chgrp "$(number group clownfish)" "$1"
}
if [[ -e $etc/$name.toml ]]; then
    say "$etc/$name.toml stays as it is"
    [[ ! -r $config ]] || put_config "$etc/$name.toml.example"
else
    put_config "$etc/$name.toml"
fi
if [[ -n $systemd ]]; then
    systemctl daemon-reload
    if [[ -n $start ]]; then
        systemctl enable --quiet "clownfish@$name.service"
        # the other graphs that run go over to this release, too
        mapfile -t others < <(systemctl list-units --plain --no-legend 'clownfish@*.service' | awk '{ print $1 }')
        for each in "clownfish@$name.service" ${others[@]+"${others[@]}"}; do
            [[ $each != "clownfish@$name.service" || -z ${begun:-} ]] || continue
            begun=yes
            systemctl restart "$each" ||
                say "$each does not run yet: journalctl -u $each -n 50; systemd tries again by itself"
        done
    fi
fi
for each in "$root$prefix".release-*; do
    [[ $(basename "$each") == "$release" ]] || rm -rf "$each"
done

if [[ -z $root ]]; then
    /usr/local/bin/clownfish doctor "/etc/clownfish/$name.toml" ||
        say "something is broken, see above; what to do stands below each line"
fi
version=$("$root/opt/$release/bin/python" -m clownfish --version)
say "$version is in $root$prefix; service clownfish@$name, settings $etc/$name.toml"
