#!/usr/bin/env bash
# Builds the emulated CUDA driver and NVRTC:  tests/CudaEmulator/build.sh OUT_DIR [--test]
# OUT_DIR then holds libcuda.so.1, libnvrtc.so.12 and libcublasLt.so.12; with OUT_DIR first in LD_LIBRARY_PATH every CUDA program that binds
# no more than these entry points runs on the emulated device. --test also builds and runs the self-tests.
# Needs clang 14 or newer (clang-19 preferred; CLANG names another) and the C and C++ libraries that come with it.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=${1:?usage: build.sh OUT_DIR [--test]}
mkdir -p "$out"
out=$(cd "$out" && pwd)

clang=${CLANG:-}
for candidate in clang-19 clang-20 clang-21 clang-18 clang-17 clang-16 clang-15 clang-14 clang; do
    [[ -n $clang ]] || clang=$(command -v "$candidate" || true)
done
[[ -n $clang ]] || { echo "build.sh: the emulator needs clang 14 or newer on PATH, or its name in CLANG" >&2; exit 1; }

flags=(-x c++ -std=c++20 -O2 -g -fPIC -fvisibility=hidden -Wall -Wextra -Werror "-DBS_INCLUDE_DIR=\"$here/include\"")
driver=(fiber block meeting sanitizer global_shadow launch state errors driver memory stream graph module kernel_launch tensor_map)
nvrtc=(nvrtc compiler options kernel_scan process prelude shared_usage)
cublas=(cublas_lt)

# Nothing is rebuilt when nothing it is made of has changed.
stamp=$(cat "$here"/build.sh "$here"/include/* "$here"/src/* "$here"/selftest/* | cksum; "$clang" --version | head -n 1)
# Programs that keep compiled kernels tell compilers apart by what they write into PTX: each build is one of its own.
flags+=("-DBS_BUILD=\"$(cksum <<<"$stamp" | cut -d ' ' -f 1)\"")
objects=$out/obj
if [[ ! -f $out/stamp || $(cat "$out/stamp") != "$stamp" ]]; then
    mkdir -p "$objects"
    rm -f "$out/stamp"
    printf '%s\n' "${driver[@]}" "${nvrtc[@]}" "${cublas[@]}" |
        xargs -P "$(nproc)" -I{} "$clang" "${flags[@]}" -c "$here/src/{}.cpp" -o "$objects/{}.o"
    link=("$clang" -shared -Wl,--no-undefined -Wl,-Bsymbolic -static-libgcc)
    "${link[@]}" -Wl,-soname,libcuda.so.1 -o "$out/libcuda.so.1.new" $(printf "$objects/%s.o " "${driver[@]}") -lstdc++ -lpthread -ldl -lm
    "${link[@]}" -Wl,-soname,libnvrtc.so.12 -o "$out/libnvrtc.so.12.new" $(printf "$objects/%s.o " "${nvrtc[@]}") -lstdc++ -lpthread -lm
    mv -f "$out/libcuda.so.1.new" "$out/libcuda.so.1"
    mv -f "$out/libnvrtc.so.12.new" "$out/libnvrtc.so.12"
    "${link[@]}" -Wl,-soname,libcublasLt.so.12 -o "$out/libcublasLt.so.12.new" $(printf "$objects/%s.o " "${cublas[@]}") "$out/libcuda.so.1" -Wl,-rpath,'$ORIGIN' -lstdc++ -lm
    mv -f "$out/libcublasLt.so.12.new" "$out/libcublasLt.so.12"
    printf '%s\n' "$stamp" >"$out/stamp"
fi

if [[ ${2:-} == --test || ${2:-} == --measure ]]; then
    "$clang" -x c++ -std=c++20 -O1 -g -Wall -Wextra -Werror "$here"/selftest/*.cpp -x none -o "$out/selftest" \
        "$out/libcuda.so.1" "$out/libnvrtc.so.12" -Wl,-rpath,"$out" -lstdc++ -lm
    BIOSUP_EMULATOR_CACHE=${BIOSUP_EMULATOR_CACHE:-$out/cache} "$out/selftest" "$here/selftest" "${2#--test}"
fi
