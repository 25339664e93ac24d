"""What a wheel of Clownfish needs for some extras, one requirement a line, for pip: WHEEL EXTRAS [LEAVE_OUT …]

pip takes the whole of `clownfish[onnx]` or nothing. On a Jetson some of it comes from elsewhere and under another name:
onnxruntime-gpu in the place of onnxruntime, JetPack's OpenCV in the place of PyPI's.
"""

from __future__ import annotations

import sys
import zipfile
from email.parser import Parser

from pip._vendor.packaging.requirements import Requirement


def requirements(wheel: str, extras: list[str], leave_out: list[str]) -> list[str]:
    """Sorted, those for other machines and Pythons than this one left out. Raises SystemExit for an unknown extra."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (each for each in archive.namelist() if each.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(archive.read(name).decode())
    known = metadata.get_all("Provides-Extra") or []
    if unknown := [extra for extra in extras if extra not in known]:
        raise SystemExit(f"install.sh: no extra {', '.join(unknown)}; known: {', '.join(known)}")
    lines = [Requirement(line) for line in metadata.get_all("Requires-Dist") or []]
    wanted, found = ["", *extras], set()
    for extra in wanted:  # grows meanwhile
        for line in lines:
            if line.marker is not None and not line.marker.evaluate({"extra": extra}):
                continue
            if line.name == metadata["Name"]:  # clownfish[torch], of the extra onnx
                wanted += [each for each in line.extras if each not in wanted]
            elif line.name not in leave_out:
                line.marker = None
                found.add(str(line))
    return sorted(found)


if __name__ == "__main__":
    print("\n".join(requirements(sys.argv[1], [each for each in sys.argv[2].split(",") if each], sys.argv[3:])))
