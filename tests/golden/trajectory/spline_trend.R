# The same model by mgcv with the design and the penalty given: spline_trend.R POINTS SPLINES LAMBDA
# Prints the effective degrees, the residual variance and 20 lines "fit standard-error" from the first to the last x.
suppressMessages({library(mgcv); library(splines)})
arguments <- commandArgs(TRUE)
points <- read.table(arguments[1])
x <- points[[1]]; y <- points[[2]]; k <- as.integer(arguments[2]); lambda <- as.numeric(arguments[3])
low <- min(x); high <- max(x)
knots <- ((-3):k) / (k - 3)
basis <- function(at) splineDesign(knots, (at - low) / (high - low), ord = 4, outer.ok = TRUE)
A <- basis(x)
D <- diff(diag(k), differences = 2)
# The splines add up to 1, so the intercept is among them.
model <- gam(y ~ A - 1, paraPen = list(A = list(t(D) %*% D, sp = lambda)))
cat(sprintf("%.17g %.17g\n", sum(model$edf), model$sig2))
at <- basis(seq(low, high, length.out = 20))
fit <- at %*% coef(model)
error <- sqrt(rowSums((at %*% model$Ve) * at))
cat(sprintf("%.17g %.17g\n", fit, error), sep = "")
