# Opens a file of `biosup cells` in Seurat and compares what both calculate.
# usage: Rscript seurat.R examples/seurat.R OUT.h5ad COLUMN
# OUT.h5ad: counts kept in layers/counts, total 10,000, log1p, highly_variable_genes:flavor=seurat_v3, pca, neighbors, umap, leiden and
# rank_genes_groups:groupby=COLUMN:method=mannwhitneyu:fold_change=seurat. Prints one "name value" a line: what was found and the largest differences.

arguments <- commandArgs(trailingOnly = TRUE)
suppressMessages(source(arguments[1]))
object <- read_biosup(arguments[2])
say <- function(name, value) cat(name, format(value, digits = 17), "\n")

say("cells", ncol(object))
say("genes", nrow(object))
for (name in c("pca", "umap")) say(paste0(name, "_dimensions"), ncol(Embeddings(object, name)))
say("communities", nlevels(Idents(object)))
graph <- object[["connectivities"]]
say("graph_asymmetry", max(abs(graph - t(graph))))
# Seurat's own clustering takes the graph as it is.
clustered <- FindClusters(object, graph.name = "connectivities", verbose = FALSE)
say("seurat_communities", nlevels(Idents(clustered)))
say("highly_variable", length(VariableFeatures(object)))

fresh <- NormalizeData(CreateSeuratObject(GetAssayData(object, "counts")), scale.factor = 10000, verbose = FALSE)
say("normalised", max(abs(GetAssayData(fresh, "data") - GetAssayData(object, "data"))))

file <- H5File$new(arguments[2], "r")
variable <- HVFInfo(FindVariableFeatures(fresh, nfeatures = length(VariableFeatures(object)), verbose = FALSE))
ours <- file[["var/variances_norm"]][]
say("standardised_variance", max(abs(variable$variance.standardized / ours - 1)))

Idents(object) <- arguments[3]
ranked <- file[["uns/rank_genes_groups"]]
names <- ranked[["names"]][]
p <- ranked[["pvals"]][]
fold <- ranked[["logfoldchanges"]][]
largest <- c(p = 0, fold = 0)
for (group in levels(Idents(object))) {
  markers <- suppressMessages(FindMarkers(object, ident.1 = group, logfc.threshold = 0, min.pct = 0, min.cells.feature = 0, test.use = "wilcox", verbose = FALSE))
  markers <- markers[gsub("_", "-", names[[group]]), ]
  largest["p"] <- max(largest["p"], abs(log(markers$p_val / p[[group]])))
  largest["fold"] <- max(largest["fold"], abs(markers$avg_log2FC - fold[[group]]))
}
say("limma", as.integer(requireNamespace("limma", quietly = TRUE)))
say("p_log_ratio", largest["p"][[1]])
say("log2_fold_change", largest["fold"][[1]])
