#!/usr/bin/env bash
# Everything that is worth doing on a machine with a GPU, in one command and in this order:
#   run-gpu.sh [SECTION...] [--out FOLDER] [--minutes N] [--suites "NAME..."] [--repetitions N] [--device N]
#              [--python PROGRAM] [--scratch FOLDER] [--bundle] [--tiny]
# Sections (all, where none is named; environment always): tests sanitizer repeat bench ncu peers demo.
#   --out       where results go as they come (OUT, else ./gpu-results); tables end up in results/<device>/*.md
#   --minutes   most minutes of one section (20); a command that is cut off keeps what it had
#   --bundle    only run.log, figures.jsonl and results.tar.gz in the output folder, the last renewed after each section
#   --scratch   keeps unpacked programs and compiled kernels there for the next run
#   --tiny      small sizes: shows that everything works; no figure of such a run is a result
# Needs libcuda and libnvrtc. compute-sanitizer, ncu, nvcc, nvidia-smi and a Python with PyTorch are used where they are there and reported as
# skipped where not. The device is measured as it is found: no setting of it is touched.
# Exit code: 0; 1 where a test, a sanitizer, the repeatability or the demo failed; 2 for wrong arguments; 4 without a device.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
known=(tests sanitizer repeat bench ncu peers demo)
out=${OUT:-gpu-results} minutes=20 suites="" repetitions="" device=0 python=${PYTHON:-} scratch="" bundle=0 tiny=0 sections=()

usage() {
    sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"
    exit "${1:-0}"
}

while (($#)); do
    case $1 in
        -h | --help) usage ;;
        --bundle) bundle=1 ;;
        --tiny) tiny=1 ;;
        --out | --minutes | --suites | --repetitions | --device | --python | --scratch)
            (($# > 1)) || { echo "run-gpu.sh: $1 needs a value" >&2; exit 2; }
            printf -v "${1#--}" '%s' "$2"
            shift
            ;;
        *)
            [[ " ${known[*]} environment " == *" $1 "* ]] || { echo "run-gpu.sh: there is no section or option '$1'" >&2; usage 2 >&2; }
            sections+=("$1")
            ;;
    esac
    shift
done
((${#sections[@]})) || sections=("${known[@]}")

mkdir -p "$out" || exit 2
out=$(cd "$out" && pwd)
if [[ -z $scratch ]]; then
    scratch=$(mktemp -d) || exit 2
    trap 'rm -rf "$scratch"' EXIT
fi
mkdir -p "$scratch" && scratch=$(cd "$scratch" && pwd) || exit 2
work=$out
if ((bundle)); then
    work=$scratch/work
    rm -rf "$work" && mkdir -p "$work"
    touch "$out/figures.jsonl" && ln -sf "$out/figures.jsonl" "$work/figures.jsonl"
fi
figures=$work/figures.jsonl checks=$work/checks.txt
small=() && ((tiny)) && small=(--tiny)
has_device=0 no_device="no device was looked for" failures=0 deadline=0 written=""

say() { printf '\n== %s\n' "$*"; }

# check NAME OUTCOME DETAIL: passed, failed or skipped, for the table of checks. Only "failed" counts for the exit code.
check() {
    printf -- '-- %s: %s%s\n' "$1" "$2" "${3:+: $3}"
    printf '%s\t%s\t%s\n' "$1" "$2" "${3//$'\t'/ }" >>"$checks"
    [[ $2 != failed ]] || failures=$((failures + 1))
}

# limited COMMAND...: ends it when the section's time is over; 124 then.
limited() {
    local left=$((deadline - SECONDS))
    ((left > 0)) || return 124
    timeout --kill-after=20 "$left" "$@"
}

reason_of() { # reason_of STATUS FILE: the time limit, or the last line that says something
    if (($1 == 124 || $1 == 137)); then
        echo "cut off after $minutes minutes"
    else
        echo "ends with $1: $(grep -v '^[[:space:]]*$' "$2" | tail -n 1 | cut -c 1-200)"
    fi
}

program() { printf '%s/bin/%s' "$programs" "$1"; }

unpack_programs() {
    if [[ -d $here/bin ]]; then
        programs=$here
        return
    fi
    programs=$scratch/programs
    [[ -f $programs/complete && $(cat "$programs/complete") == $(cksum <"$here/programs.tar.gz") ]] && return
    rm -rf "$programs" && mkdir -p "$programs" && tar -xzf "$here/programs.tar.gz" --no-same-owner -C "$programs" && cksum <"$here/programs.tar.gz" >"$programs/complete"
}

# The one that was named, else the first with PyTorch, else the first.
find_python() {
    local candidate
    [[ -n $python ]] && return
    for candidate in python3 /usr/bin/python3; do
        command -v "$candidate" >/dev/null && "$candidate" -c 'import torch' 2>/dev/null && { python=$candidate; return; }
    done
    python=$(command -v python3 || true)
}

# Wheels of NVIDIA are found through BIOSUP_SITE_PACKAGES: the first folder of packages that holds NVRTC.
find_wheels() {
    local folder
    [[ -n ${BIOSUP_SITE_PACKAGES:-} ]] && return
    while IFS= read -r folder; do
        compgen -G "$folder/nvidia/cu13/lib/libnvrtc.so.*" >/dev/null || compgen -G "$folder/nvidia/cuda_nvrtc/lib/libnvrtc.so.*" >/dev/null || continue
        export BIOSUP_SITE_PACKAGES=$folder
        echo "NVRTC of a Python wheel may be used: $folder"
        return
    done < <(
        [[ -z $python ]] || "$python" -c 'import sys; print("\n".join(p for p in sys.path if p))' 2>/dev/null
        compgen -G '/usr/lib/python3*/*-packages'
        compgen -G '/usr/local/lib/python3*/*-packages'
        compgen -G '/opt/*/lib/python3*/site-packages'
        compgen -G '/opt/*/.venv/lib/python3*/site-packages'
    )
}

section_environment() {
    local status line tool
    find_wheels
    limited "$(program BioSup.Native.Benchmarks.Device)" environment --device "$device" >"$work/environment.txt" 2>"$work/environment.log"
    status=$?
    [[ -f $here/pack.txt ]] && grep '^commit: ' "$here/pack.txt" >>"$work/environment.txt"
    if command -v nvidia-smi >/dev/null; then
        line=$(nvidia-smi --id="$device" --query-gpu=clocks.sm,clocks.max.sm,clocks.mem,power.limit,persistence_mode --format=csv,noheader 2>/dev/null) && echo "clocks: $line (SM, its limit, memory, power limit, persistence)" >>"$work/environment.txt"
        line=$(nvidia-smi --id="$device" --query-gpu=ecc.mode.current --format=csv,noheader 2>/dev/null) && echo "ECC: $line" >>"$work/environment.txt"
    fi
    for tool in nvcc ncu compute-sanitizer; do
        line=$(command -v "$tool" >/dev/null && "$tool" --version 2>/dev/null | grep -i version | tail -n 1) && echo "$tool: $line" >>"$work/environment.txt"
    done
    line=$([[ -n $python ]] && "$python" -c 'import torch; print(torch.__version__)' 2>/dev/null) && echo "PyTorch: $line" >>"$work/environment.txt"
    cat "$work/environment.txt" "$work/environment.log"
    "$(program biosup)" doctor >"$work/doctor.txt" 2>&1
    if ((status == 0)); then
        has_device=1
        check environment passed "$(sed -n 's/^device: //p' "$work/environment.txt")"
    else
        no_device=$(sed -n 's/^no device: //p' "$work/environment.txt" | head -n 1)
        [[ -n $no_device ]] || no_device="the environment could not be read: $(reason_of "$status" "$work/environment.log")"
        check environment skipped "$no_device"
    fi
}

# run_tests LOG COMMAND...: 0 passed, 1 failed, 2 nothing ran; the summary of the tests on standard output.
run_tests() {
    local log=$1 status summary
    shift
    limited "$@" >"$log" 2>&1
    status=$?
    summary=$(grep -o 'Total: .*' "$log" | tail -n 1)
    echo "${summary:-$(reason_of "$status" "$log")}"
    [[ -n $summary ]] || return 1
    [[ $summary =~ Total:\ ([0-9]+).*Skipped:\ ([0-9]+) && ${BASH_REMATCH[1]} == "${BASH_REMATCH[2]}" ]] && return 2
    return "$((status != 0))"
}

section_tests() {
    local filter=(-namespace BioSup.Kernels.Tests.Cuda) summary
    ((tiny)) && filter=(-class BioSup.Kernels.Tests.Cuda.SoftmaxCudaTests)
    summary=$(BIOSUP_TEST_GPU=1 run_tests "$work/tests.log" "$(program BioSup.Native.Kernels.Tests)" "${filter[@]}" -noColor)
    case $? in
        0) check "GPU tests" passed "$summary" ;;
        2) check "GPU tests" skipped "$summary" ;;
        *)
            grep -E '\[FAIL\]|Assert|Exception' "$work/tests.log" | head -n 40
            check "GPU tests" failed "$summary"
            ;;
    esac
}

# Small operations of every kind, and whole test classes, under each tool.
section_sanitizer() {
    local tool log status errors
    if ! command -v compute-sanitizer >/dev/null; then
        check compute-sanitizer skipped "compute-sanitizer is not on PATH"
        return
    fi
    for tool in memcheck racecheck synccheck initcheck; do
        log=$work/sanitizer-$tool.log
        limited compute-sanitizer --tool "$tool" --target-processes all --error-exitcode 99 --print-limit 20 "$(program BioSup.Native.Benchmarks.Device)" fingerprint --tiny --device "$device" >"$log" 2>&1
        status=$?
        if ((!tiny && status == 0)); then
            BIOSUP_TEST_GPU=1 limited compute-sanitizer --tool "$tool" --target-processes all --error-exitcode 99 --print-limit 20 "$(program BioSup.Native.Kernels.Tests)" -noColor \
                -class BioSup.Kernels.Tests.Cuda.ReductionsCudaTests -class BioSup.Kernels.Tests.Cuda.SoftmaxCudaTests -class BioSup.Kernels.Tests.Cuda.TopKCudaTests \
                -class BioSup.Kernels.Tests.Cuda.AdamWCudaTests >>"$log" 2>&1
            status=$?
        fi
        errors=$(grep -o 'ERROR SUMMARY: [0-9]* error' "$log" | awk '{ sum += $3 } END { if (NR) print sum }')
        if [[ -z $errors ]]; then
            check "compute-sanitizer $tool" skipped "$(reason_of "$status" "$log")"
        elif ((errors > 0 || status == 99)); then
            grep '=========' "$log" | head -n 40
            check "compute-sanitizer $tool" failed "$errors errors, see sanitizer-$tool.log"
        elif ((status != 0)); then
            check "compute-sanitizer $tool" skipped "no errors so far, but $(reason_of "$status" "$log")"
        else
            check "compute-sanitizer $tool" passed "no errors"
        fi
    done
}

section_repeat() {
    local run status first=$work/fingerprint.txt other=$scratch/fingerprint.txt
    for run in 1 2 3 4 5 6 7 8 9 10; do
        limited "$(program BioSup.Native.Benchmarks.Device)" fingerprint "${small[@]}" --device "$device" >"$other" 2>"$work/repeat.log"
        status=$?
        if ((status != 0)); then
            check "same bytes in ten runs" "$( ((status == 124)) && echo skipped || echo failed)" "run $run: $(reason_of "$status" "$work/repeat.log")"
            return
        fi
        if ((run == 1)); then
            cp "$other" "$first"
        elif ! cmp -s "$first" "$other"; then
            diff "$first" "$other"
            check "same bytes in ten runs" failed "run $run differs from run 1 in $(diff "$first" "$other" | awk '/^</ { print $2 }' | tr '\n' ' ')"
            return
        fi
    done
    # An operation that the device cannot do answers the same sentence every time, which proves nothing.
    run=$(grep -vc ': not available: ' "$first")
    check "same bytes in ten runs" "$( ((run)) && echo passed || echo skipped)" "$run operations; $(grep -c ': not available: ' "$first") not available"
}

section_bench() {
    local suite status log=$scratch/bench.log
    [[ -n $suites ]] || suites=$("$(program BioSup.Native.Benchmarks.Device)" suites | awk '{ print $1 }' | tr '\n' ' ')
    for suite in $suites; do
        # A process of its own for each suite: what breaks one leaves the others.
        limited "$(program BioSup.Native.Benchmarks.Device)" run "$suite" --figures "$figures" --device "$device" ${repetitions:+--repetitions "$repetitions"} "${small[@]}" 2>&1 | tee "$log"
        status=${PIPESTATUS[0]}
        case $status in
            0) check "benchmark $suite" passed "" ;;
            124 | 137) check "benchmark $suite" skipped "$(reason_of "$status" "$log")" ;;
            *) check "benchmark $suite" failed "$(reason_of "$status" "$log")" ;;
        esac
    done
}

section_ncu() {
    local suite kernels status csv
    local metrics=gpu__time_duration.sum,sm__throughput.avg.pct_of_peak_sustained_elapsed,gpu__compute_memory_throughput.avg.pct_of_peak_sustained_elapsed
    metrics+=,dram__bytes.sum,dram__throughput.avg.pct_of_peak_sustained_elapsed,lts__t_sector_hit_rate.pct,sm__warps_active.avg.pct_of_peak_sustained_active,launch__registers_per_thread
    metrics+=,l1tex__data_bank_conflicts_pipe_lsu.sum,smsp__inst_executed_op_local_ld.sum,smsp__inst_executed_op_local_st.sum
    if ! command -v ncu >/dev/null; then
        check ncu skipped "ncu is not on PATH"
        return
    fi
    for suite in gemm:bs_gemm distance:bs_pair knn:bs_k_nearest sinkhorn:bs_sinkhorn memory:'bs_(softmax|top_k|reductions|adam)' sae:bs_sae gw:'bs_(gromov|geodes)' online:bs_factored umap:bs_umap; do
        kernels=${suite#*:} suite=${suite%%:*} csv=$work/ncu-$suite.csv
        # The clocks stay as they are; figures taken under a profiler are thrown away.
        limited ncu --target-processes all --clock-control none --csv --metrics "$metrics" --kernel-name "regex:^$kernels" --launch-count 6 \
            "$(program BioSup.Native.Benchmarks.Device)" run "$suite" --cases 1 --no-ceilings --repetitions 1 --device "$device" "${small[@]}" >"$csv" 2>"$scratch/ncu.log"
        status=$?
        if ((status != 0)) || ! grep -q '^"ID"' "$csv"; then
            grep -h '==ERROR==\|==WARNING==' "$csv" "$scratch/ncu.log" | head -n 3
            check "ncu $suite" skipped "$(grep -h '==ERROR==' "$csv" "$scratch/ncu.log" | head -n 1 | grep . || { ((status != 0)) && reason_of "$status" "$csv"; } || echo "no kernel named $kernels ran")"
            rm -f "$csv"
        else
            check "ncu $suite" passed "$(grep -c '^"[0-9]' "$csv") values"
        fi
    done
}

section_peers() {
    local script status log=$scratch/peer.log options=(--device "cuda:$device") name
    if [[ -z $python ]] || ! "$python" -c 'import torch' 2>/dev/null; then
        check peers skipped "no Python that imports torch: --python names one"
        return
    fi
    ((tiny)) && options=(--tiny)
    if ((!tiny)) && ! "$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' 2>/dev/null; then
        check peers skipped "PyTorch of $python sees no GPU"
        return
    fi
    for script in torch_gemm.py torch_cdist_topk.py torch_sinkhorn_gw.py torch_sae_step.py "torch_sae_step.py --compile"; do
        name=${script%.py*}${script#*.py}
        # shellcheck disable=SC2086 # The script's own option is a word of its own.
        PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 limited "$python" "$here/peers/"$script "${options[@]}" ${repetitions:+--repetitions "$repetitions"} 2>"$log" | tee -a "$figures"
        status=${PIPESTATUS[0]}
        if ((status == 0)); then check "peer $name" passed ""; else check "peer $name" skipped "$(reason_of "$status" "$log")"; fi
    done
}

section_demo() {
    local size=small status
    rm -rf "$scratch/demo"
    if ((tiny)); then
        size=tiny
        "$(program biosup)" demo --help | grep -q 'tiny' || { check demo skipped "this program has no demo of size tiny"; return; }
    fi
    limited "$(program biosup)" demo --size "$size" --device "cuda:$device" --out "$scratch/demo" >"$work/demo.log" 2>&1
    status=$?
    # The report holds its figures; pictures and arrays stay behind.
    [[ ! -f $scratch/demo/report.html ]] || cp "$scratch/demo/report.html" "$work/demo-report.html"
    case $status in
        0) check demo passed "$(tail -n 1 "$work/demo.log")" ;;
        4 | 124 | 137) check demo skipped "$(reason_of "$status" "$work/demo.log")" ;;
        *) check demo failed "$(reason_of "$status" "$work/demo.log")" ;;
    esac
}

# Tables of what there is so far; a run that is cut off later keeps them.
assemble() {
    written=$("$(program BioSup.Native.Benchmarks.Device)" assemble --input "$work" --out "$work/results" --gates "$gates" 2>&1)
    if ((bundle)); then
        tar -C "$work" --dereference -czf "$out/results.tar.gz.new" . && mv -f "$out/results.tar.gz.new" "$out/results.tar.gz"
    fi
}

main() {
    local section
    : >"$checks"
    unpack_programs || { echo "run-gpu.sh: programs.tar.gz could not be unpacked into $programs" >&2; return 2; }
    gates=$here/gates.json
    export BIOSUP_CACHE_DIR=${BIOSUP_CACHE_DIR:-$scratch/kernels} DOTNET_NOLOGO=1
    find_python
    say environment
    deadline=$((SECONDS + 60 * minutes))
    section_environment
    for section in "${sections[@]}"; do
        [[ $section != environment ]] || continue
        say "$section"
        if ((!has_device)); then
            check "$section" skipped "no device: $no_device"
            continue
        fi
        deadline=$((SECONDS + 60 * minutes))
        "section_$section"
        assemble
    done
    ((has_device)) || assemble
    say "$written"
    say "done in $((SECONDS / 60)) min $((SECONDS % 60)) s, $failures failed"
    ((has_device)) || return 4
    ((failures == 0))
}

main 2>&1 | tee -a "$out/run.log"
exit "${PIPESTATUS[0]}"
