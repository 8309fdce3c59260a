#!/usr/bin/env bash
# Compiles every kernel to PTX with clang-19 and no toolkit:  cuda/ptx-gate.sh [FILE.cu ...]
# Catches what the emulator cannot: host-only constructs, PTX that does not exist, arrays that do not stay in registers.
# One line per kernel: name, architecture, virtual registers. A kernel with local memory (a ".local" depot) fails unless
# cuda/ptx-gate.allow lists it with a reason. One that calls a function beside wgmma fails: the assembler would let each
# product end before the next begins. Files named *_sm90a.cu are compiled for sm_90a, others for sm_80 and sm_90a.
# Constants: a line "// ptx-gate: NAME=VALUE ..." in a file adds a compilation with them to the one without.
# The last line is "N passed, N failed, N skipped" (compilations); the exit code is 0 where nothing failed.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
clang=${CLANG:-clang-19}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0 skipped=0

flags=(-x cuda --cuda-device-only -nocudainc -nocudalib -Xclang -target-feature -Xclang +ptx83 -std=c++20 -O3 -S -Wall -Wextra -Werror
    -Wno-unused-function -DBS_CLANG -I"$here/include" -include __clang_cuda_builtin_vars.h -include "$here/ptx-gate.h")

allowed() { # allowed ENTRY ARCH: the reason, or failure
    awk -v entry="$1" -v arch="$2" '!/^#/ && $1 == entry && ($2 == arch || $2 == "*") && NF > 2 { $1 = $2 = ""; print; found = 1; exit } END { exit !found }' "$here/ptx-gate.allow"
}

# One line per entry point of a PTX file: name, virtual registers, calls beside wgmma, bytes of the local depot.
entries() {
    awk '
        /^\.visible \.entry/ { name = $3; sub(/\(.*/, "", name); registers = calls = wgmma = bytes = 0 }
        name && /\.local .*__local_depot/ { bytes = $0; sub(/.*\[/, "", bytes); sub(/\].*/, "", bytes) }
        name && /^\t\.reg/ { count = $0; sub(/.*</, "", count); sub(/>.*/, "", count); registers += count - 1 }
        name && /^\t*(@%p[0-9]+ )?call/ { calls++ }
        name && /wgmma\.mma_async/ { wgmma = 1 }
        name && /^}/ { print name, registers, wgmma * calls, bytes; name = "" }' "$1"
}

compile() { # compile FILE ARCH CONSTANTS
    local file=$1 arch=$2 constants=$3 ptx=$work/out.ptx entry registers calls bytes reason good=1 any=0
    local label=${file#"$here"/kernels/}${constants:+ ($constants)}
    local defines=($constants)
    if ! "$clang" "${flags[@]}" --cuda-gpu-arch="$arch" "${defines[@]/#/-D}" "$file" -o "$ptx" 2>"$work/log"; then
        echo "FAILED $label $arch: does not compile"
        cat "$work/log"
        failed=$((failed + 1))
        return
    fi
    while read -r entry registers calls bytes; do
        any=1
        if ((calls > 0)); then
            echo "FAILED $entry $arch: $calls calls beside wgmma${constants:+ ($constants)}"
            good=0
        fi
        if ((bytes == 0)); then
            echo "$entry $arch $registers registers${constants:+ ($constants)}"
        elif reason=$(allowed "$entry" "$arch"); then
            echo "$entry $arch $registers registers, $bytes bytes of local memory:$reason"
        else
            echo "FAILED $entry $arch: $bytes bytes of local memory, and ptx-gate.allow does not list it"
            good=0
        fi
    done < <(entries "$ptx")
    ((any)) || { echo "FAILED $label $arch: no kernel in it"; good=0; }
    if ((good)); then passed=$((passed + 1)); else failed=$((failed + 1)); fi
}

files=("$@")
((${#files[@]})) || mapfile -t files < <(find "$here/kernels" -name '*.cu' | sort)
for file in "${files[@]}"; do
    archs=(sm_80 sm_90a)
    [[ $file == *_sm90a.cu ]] && archs=(sm_90a)
    mapfile -t variants < <(sed -n 's|^// ptx-gate: *||p' "$file")
    for arch in "${archs[@]}"; do
        for constants in "" ${variants[@]+"${variants[@]}"}; do
            if command -v "$clang" >/dev/null; then
                compile "$(realpath "$file")" "$arch" "$constants"
            else
                skipped=$((skipped + 1))
            fi
        done
    done
done
((skipped == 0)) || echo "skipped: $clang is not installed"
echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0))
