#!/usr/bin/env bash
# Try an edge on aarch64 without a Jetson: a Debian root under qemu, in which install.sh installs it as on a box without a
# network, every service is imported, the doctor looks around, and a graph with its cloud answers a few windows of a drawn stream
# through onnxruntime. As root, with: apt-get install qemu-user-static debootstrap, pip install uv hatchling
#   deploy/jetson/try-emulated.sh FOLDER        half an hour, and 3 GB below FOLDER; what is there already is used again
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
project=$here/../..
folder=${1:?usage: try-emulated.sh FOLDER}
python=${PYTHON:-python3}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
root=$folder/root wheels=$folder/wheels

for program in debootstrap qemu-aarch64-static; do
    command -v $program >/dev/null || {
        echo "try-emulated.sh: $program is missing; apt-get install qemu-user-static debootstrap" >&2
        exit 1
    }
done
binfmt=/proc/sys/fs/binfmt_misc
[[ -e $binfmt/register ]] || mount -t binfmt_misc binfmt_misc $binfmt
registered=''
if [[ ! -e $binfmt/qemu-aarch64 ]]; then # in a container nobody has
    cat /usr/lib/binfmt.d/qemu-aarch64.conf >$binfmt/register
    registered=yes
fi
mounted=()
clean_up() {
    for each in ${mounted[@]+"${mounted[@]}"}; do
        umount "$each" || true
    done
    [[ -z $registered ]] || echo -1 >$binfmt/qemu-aarch64
}
trap clean_up EXIT

if [[ ! -e $root/usr/bin/python3 ]]; then
    debootstrap --arch=arm64 --variant=minbase --include=python3,python3-venv bookworm "$root"
fi

mkdir -p "$wheels"
rm -f "$wheels"/clownfish-*.whl
(cd "$project" && "$python" -m hatchling build -t wheel -d "$wheels")
"$python" "$here/requirements.py" "$wheels"/clownfish-*.whl onnx,video >"$folder/requirements.txt"
# newer ones end with a segmentation fault when qemu 7.2 loads them
echo 'onnxruntime<1.23' >>"$folder/requirements.txt"
"$python" -m uv pip compile --quiet "$folder/requirements.txt" --constraint "$here/constraints.txt" --only-binary :all: \
    --python-platform aarch64-manylinux_2_35 --python-version 3.11 --output-file "$folder/pinned.txt"
platforms=()
for glibc in 35 34 31 28 27 26 24 17; do
    platforms+=(--platform "manylinux_2_${glibc}_aarch64")
done
"$python" -m pip download --quiet --no-deps --only-binary :all: --python-version 3.11 --implementation cp "${platforms[@]}" \
    --platform manylinux2014_aarch64 --dest "$wheels" --requirement "$folder/pinned.txt"

rm -rf "$root/srv/try"
mkdir -p "$root/srv/try/deploy" "$root/srv/try/configs"
cp -r "$here" "$root/srv/try/deploy/jetson"
cp "$project/configs/jetson.toml" "$root/srv/try/configs/"
ln -f "$wheels"/*.whl "$root/srv/try/"
mkdir -p "$root/proc" "$root/sys" "$root/dev"
for each in proc sys; do
    mount -t ${each/sys/sysfs} "$each" "$root/$each"
    mounted=("$root/$each" "${mounted[@]}")
done
mount --bind /dev "$root/dev"
mounted=("$root/dev" "${mounted[@]}")

inside() {
    chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root OMP_NUM_THREADS=1 "$@"
}
inside bash /srv/try/deploy/jetson/install.sh --no-systemd --wheel "/srv/try/$(basename "$wheels"/clownfish-*.whl)" \
    --pip-args "--no-index --find-links /srv/try"
inside /opt/clownfish/bin/python /srv/try/deploy/jetson/try_inside.py
