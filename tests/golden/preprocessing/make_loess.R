# Fitted values of R's loess with its defaults (surface "interpolate"): Rscript make_loess.R > loess.json
# Places with and without ties; long runs of one value, as genes that one cell has; neighbourhoods of two places, which determine no quadratic; a run longer
# than a cell at either end; few points, so that every cell holds one; places far from 0.
number <- function(v) paste0("[", paste(format(v, digits = 17, trim = TRUE), collapse = ","), "]")
case <- function(x, y, span) {
  fit <- loess(y ~ x, span = span, degree = 2)
  sprintf('{"span":%s,"x":%s,"y":%s,"fitted":%s}', format(span, digits = 17), number(x), number(y), number(fit$fitted))
}
set.seed(7)
smooth <- round(runif(150, -2, 2), 12)
tied <- round(runif(200, -2, 2) * 8) / 8
runs <- log10(rpois(160, 2) + rpois(160, 1) * 5 + 1)
cases <- c(
  case(smooth, round(sin(2 * smooth) + rnorm(150, 0, 0.2), 12), 0.3),
  case(tied, round(tied^2 + rnorm(200, 0, 0.3), 12), 0.3),
  case(runs, round(runs + rnorm(160, 0, 0.1), 12), 0.75))
two <- c(rep(0, 25), rep(1, 25), round(runif(50, 2, 4), 6))
ends <- c(rep(0, 45), 1.25, 2, 2.5, 3, 3.5, 4, 4.25, 4.5, rep(5, 50))
few <- c(-1.5, -0.75, -0.5, 0.25, 1, 1.75, 2.5)
sparse <- c(0, 0.5, 1.25, 2, 2.75, 3, 4.5, 5, 6)
far <- round(runif(80, -2, 2), 6) - 1e4
cat("[", paste(c(cases,
  case(two, round(cos(two) + rnorm(100, 0, 0.2), 12), 0.3),
  case(ends, round(ends / 3 + rnorm(103, 0, 0.2), 12), 0.6),
  case(few, round(few^3 - few, 12), 1),
  case(far, round(abs(far + 1e4) + rnorm(80, 0, 0.1), 12), 0.35),
  case(c(0, 1, 2.5, 4), c(1, 3, 2, 5), 1),
  case(sparse, round(sin(sparse), 12), 0.45)), collapse = ",\n"), "]\n", sep = "")
