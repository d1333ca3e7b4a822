#!/usr/bin/env bash
# What dlx does on this machine's GPU, in one go of ten minutes at most: builds and installs it for that GPU, runs the
# tests that need one, compute-sanitizer where it is, and times the rows of benchmarks/gpu_report.py beside PyTorch.
# Writes benchmarks/results/<GPU>.json and .md, whatever failed before. Downloads nothing: the Python that runs it
# ($PYTHON, python3) has scikit-build-core, pybind11, cmake, ninja, numpy and pytest; PyTorch is welcome.
#   bash benchmarks/gpu_report.sh          with a GPU
#   bash benchmarks/gpu_report.sh --small  on the emulator, tiny sizes: shows that the report itself works
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=${PYTHON:-python3}
small=
[[ ${1:-} != --small ]] || small=--small
log=$PWD/build/gpu_report
mkdir -p "$log"
: >"$log/parts.tsv"
export PYTHONUNBUFFERED=1 PIP_NO_INPUT=1 PIP_DISABLE_PIP_VERSION_CHECK=1

# part NAME LIMIT COMMAND...: for LIMIT seconds at most; its end stands in parts.tsv, its output in NAME.txt.
part() {
  local name=$1 limit=$2 code=0 start=$SECONDS
  shift 2
  timeout --kill-after=10 "$limit" "$@" >"$log/$name.txt" 2>&1 || code=$?
  printf '%s\t%s\t%s\n' "$name" "$code" $((SECONDS - start)) >>"$log/parts.tsv"
  printf '=== %s: %s, %d s\n' "$name" "$( ((code)) && echo "exit code $code" || echo done)" $((SECONDS - start))
  ((code == 0)) || tail -5 "$log/$name.txt"
  return $code
}
skip() {
  printf '%s\t%s\t0\n' "$1" "$2" >>"$log/parts.tsv"
  printf '=== %s: %s\n' "$1" "$2"
}

if [[ $small ]]; then
  part build 1500 "$python" tests/_emulated.py || exit 1
  export PYTHONPATH=$PWD/build/emu/python
  part tests 300 "$python" -m pytest -q -m cuda tests/test_gpu.py tests/test_ops.py -k 'test_gpu or relu'
  skip memcheck 'skipped: no GPU'
  skip racecheck 'skipped: no GPU'
else
  export DLX_CUDA=ON
  part build 260 "$python" -m pip install --no-build-isolation --no-deps -C cmake.define.DLX_CUDA_ARCHS=native . ||
    exit 1
  # From here on the installed package: the folder of the sources holds no _core.
  several=()
  ! "$python" -c 'import xdist' 2>/dev/null || several=(-n 8)
  part tests 130 "$python" -m pytest -q -m cuda "${several[@]}" --maxfail=20 -p no:cacheprovider -p no:benchmark
  # The kernels of the emulator's own tests, which the tests have built by nvcc.
  if command -v compute-sanitizer >/dev/null; then
    for check in memcheck racecheck; do
      part $check 30 bash -c 'set -e; found=(build/calibration/test_*[!.]); for test in "${found[@]}"; do
        [[ ! -x $test ]] || compute-sanitizer --tool '$check' --error-exitcode 9 "$test"; done'
    done
  else
    skip memcheck 'skipped: no compute-sanitizer'
    skip racecheck 'skipped: no compute-sanitizer'
  fi
fi
part measure 120 "$python" benchmarks/gpu_report.py $small --parts "$log/parts.tsv"
code=$?
tail -40 "$log/measure.txt"
exit $code
