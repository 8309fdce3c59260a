# Opens a file that `biosup cells` wrote in Seurat, with counts, normalised values, layouts, neighbour graph and clusters:
#
#     source("examples/seurat.R")
#     object <- read_biosup("out.h5ad")
#     DimPlot(object, reduction = "umap"); FindMarkers(object, ident.1 = "0")
#
# Needs the packages Seurat 4 or later, Matrix and hdf5r. Underscores in names of genes become dashes, as in everything that Seurat makes.

suppressPackageStartupMessages({
  library(Seurat)
  library(Matrix)
  library(hdf5r)
})

read_biosup <- function(path) {
  file <- H5File$new(path, "r")
  on.exit(file$close_all())
  obs <- read_frame(file[["obs"]])
  genes <- rownames(read_frame(file[["var"]]))
  has <- function(key) file$exists(key)

  # Rows of the file are cells; in Seurat cells are columns, so that nothing has to be transposed.
  x <- read_matrix(file[["X"]], genes, rownames(obs))
  counts <- if (has("layers") && has("layers/counts")) read_matrix(file[["layers/counts"]], genes, rownames(obs)) else x
  object <- CreateSeuratObject(counts, meta.data = obs)
  if (!identical(counts, x)) {
    # Fold changes of FindMarkers are those of logarithms only where Seurat remembers that it normalised; our values then take the place of its own.
    object <- SetAssayData(NormalizeData(object, verbose = FALSE), "data", named_as(x, object))
  }
  if (has("var/highly_variable")) VariableFeatures(object) <- rownames(object)[as.logical(file[["var/highly_variable"]][])]

  if (has("obsm")) for (key in names(file[["obsm"]])) {
    places <- file[["obsm"]][[key]]
    if (!inherits(places, "H5D")) next
    name <- sub("^X_", "", key)
    short <- paste0(if (name == "pca") "PC" else gsub("[^A-Za-z0-9]", "", name), "_")
    embedding <- t(places[, , drop = FALSE])
    dimnames(embedding) <- list(colnames(object), paste0(short, seq_len(ncol(embedding))))
    object[[name]] <- CreateDimReducObject(embedding, key = short, assay = DefaultAssay(object))
  }
  if (has("obsp")) for (key in names(file[["obsp"]])) {
    graph <- as.Graph(read_matrix(file[["obsp"]][[key]], colnames(object), colnames(object)))
    DefaultAssay(graph) <- DefaultAssay(object)
    object[[key]] <- graph
  }
  if ("leiden" %in% colnames(obs)) Idents(object) <- "leiden"
  object
}

# A matrix of the file, [cells, genes] there and genes x cells here; dense, CSR or CSC.
read_matrix <- function(node, genes, cells) {
  if (inherits(node, "H5D")) {
    values <- node[, , drop = FALSE]
    dimnames(values) <- list(genes, cells)
    return(as(values, "CsparseMatrix"))
  }
  parts <- lapply(c(i = "indices", p = "indptr", x = "data"), function(name) as.numeric(node[[name]][]))
  if (h5attr(node, "encoding-type") == "csc_matrix") {
    return(t(sparseMatrix(i = parts$i, p = parts$p, x = parts$x, dims = c(length(cells), length(genes)), dimnames = list(cells, genes), index1 = FALSE)))
  }
  sparseMatrix(i = parts$i, p = parts$p, x = parts$x, dims = c(length(genes), length(cells)), dimnames = list(genes, cells), index1 = FALSE)
}

# obs or var: columns of numbers, names, truth values (h5py's bool) and categories.
read_frame <- function(group) {
  column <- function(name) {
    node <- group[[name]]
    if (inherits(node, "H5D")) {
      values <- node[]
      return(if (is.factor(values)) values == "TRUE" else if (bit64::is.integer64(values)) as.numeric(values) else values)
    }
    codes <- as.integer(node[["codes"]][])
    categories <- node[["categories"]][]
    factor(categories[ifelse(codes < 0, NA, codes + 1)], levels = categories)
  }
  index <- h5attr(group, "_index")
  names <- setdiff(h5attr(group, "column-order"), index)
  frame <- lapply(stats::setNames(names, names), column)
  data.frame(frame, row.names = as.character(group[[index]][]), check.names = FALSE)
}

named_as <- function(matrix, object) {
  dimnames(matrix) <- dimnames(object)
  matrix
}
