# Fitted values of R's loess with its defaults (surface "interpolate"): Rscript make_loess.R > loess.json
# Places with and without ties; the last case has long runs of one value, as genes that one cell has.
number <- function(v) paste0("[", paste(format(v, digits = 17, trim = TRUE), collapse = ","), "]")
case <- function(x, y, span) {
  fit <- loess(y ~ x, span = span, degree = 2)
  sprintf('{"span":%s,"x":%s,"y":%s,"fitted":%s}', format(span, digits = 17), number(x), number(y), number(fit$fitted))
}
set.seed(7)
smooth <- round(runif(150, -2, 2), 12)
tied <- round(runif(200, -2, 2) * 8) / 8
runs <- log10(rpois(160, 2) + rpois(160, 1) * 5 + 1)
cat("[", paste(c(
  case(smooth, round(sin(2 * smooth) + rnorm(150, 0, 0.2), 12), 0.3),
  case(tied, round(tied^2 + rnorm(200, 0, 0.3), 12), 0.3),
  case(runs, round(runs + rnorm(160, 0, 0.1), 12), 0.75)), collapse = ",\n"), "]\n", sep = "")
