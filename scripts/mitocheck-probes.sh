#!/usr/bin/env bash
# Trains autoencoders of several architectures on the encoder activations of mitocheck_nuclei and holds their latents against the raw activations:
# 16 expert classes, linear probes, whole plate-wells kept together in the folds. Figures: docs/sae-evaluation.md.
# usage: mitocheck-probes.sh DATA OUT [ARCHITECTURE[:SPARSITY]...]
#   DATA       the folder mitocheck_nuclei
#   SPARSITY   k of topk, batchtopk and matryoshka, sparsity_coeff of the others; without it the settings of the table
#   BIOSUP     the program (default: biosup on the PATH);  STEPS: of training (default 1000)
set -euo pipefail
data=$1 out=$2
shift 2
models=("$@")
[ ${#models[@]} -gt 0 ] || models=(gated gated-original relu topk batchtopk jumprelu matryoshka)
biosup=${BIOSUP:-biosup}
tokens=$data/activations_pplcnetv3_det_backbone.npy
[ -f "$tokens" ] || { echo "skipped: $tokens is not there"; exit 0; }
mkdir -p "$out"
for model in "${models[@]}"; do
    architecture=${model%%:*} name=${model/:/-}
    case $architecture in
        topk | batchtopk | matryoshka) key=k value=12 ;;
        jumprelu) key=sparsity_coeff value=0.002 ;;
        *) key=sparsity_coeff value=0.02 ;;
    esac
    [ "$model" = "$architecture" ] || value=${model#*:}
    cat > "$out/$name.json" <<JSON
{ "architecture": "$architecture", "d_sae": 1440, "batch": 256, "lr": 1e-3, "$key": $value, "normalise": "paper", "log_every": 100 }
JSON
    "$biosup" sae train --tokens "$tokens" --config "$out/$name.json" --steps "${STEPS:-1000}" --out "$out/$name" --quiet
    "$biosup" sae eval --model "$out/$name" --tokens "$tokens" --labels "$data/labels.csv:class" \
        --groups "$data/labels.csv:plate" "$data/labels.csv:well" --out "$out/$name/eval" 2> "$out/$name/eval.log" | sed "s/^/$name: /"
done
