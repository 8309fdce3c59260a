#!/usr/bin/env bash
# Trains autoencoders of several architectures on the encoder activations of mitocheck_nuclei and holds their latents against the raw activations:
# 16 expert classes, linear probes, whole plate-wells kept together in the folds. Figures: docs/sae-evaluation.md.
# usage: mitocheck-probes.sh DATA OUT [ARCHITECTURE...]     DATA: the folder mitocheck_nuclei;  BIOSUP: the program (default: biosup on the PATH)
set -euo pipefail
data=$1 out=$2
shift 2
architectures=("$@")
[ ${#architectures[@]} -gt 0 ] || architectures=(gated relu topk batchtopk jumprelu matryoshka)
biosup=${BIOSUP:-biosup}
tokens=$data/activations_pplcnetv3_det_backbone.npy
[ -f "$tokens" ] || { echo "skipped: $tokens is not there"; exit 0; }
mkdir -p "$out"
for architecture in "${architectures[@]}"; do
    case $architecture in
        topk | batchtopk | matryoshka) sparsity='"k": 12' ;;
        jumprelu) sparsity='"sparsity_coeff": 0.002' ;;
        *) sparsity='"sparsity_coeff": 0.02' ;;
    esac
    cat > "$out/$architecture.json" <<JSON
{ "architecture": "$architecture", "d_sae": 1440, "batch": 256, "lr": 1e-3, $sparsity, "normalise": "paper", "log_every": 100 }
JSON
    "$biosup" sae train --tokens "$tokens" --config "$out/$architecture.json" --steps "${STEPS:-1000}" --out "$out/$architecture" --quiet
    "$biosup" sae eval --model "$out/$architecture" --tokens "$tokens" --labels "$data/labels.csv:class" \
        --groups "$data/labels.csv:plate" "$data/labels.csv:well" --out "$out/$architecture/eval" 2> "$out/$architecture/eval.log" | sed "s/^/$architecture: /"
done
