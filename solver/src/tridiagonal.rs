//! Eigenvalues of symmetric tridiagonal matrices, which arise in Lanczos iterations, by bisection (Golub and Van Loan
//! 2013, section 8.4).

/// Returns eigenvalue `k`, counted from 1 for the smallest, of the matrix with the given `diagonal` and off-diagonal
/// `beside`, by `halvings` bisections of `[low, high]`, which must contain it.
///
/// The number of eigenvalues below `x` is the number of negative pivots of `T - x`.
pub(crate) fn eigenvalue(
    (diagonal, beside): (&[f64], &[f64]),
    k: usize,
    [mut low, mut high]: [f64; 2],
    halvings: usize,
) -> f64 {
    let below = |x: f64| {
        let mut pivot = 1.0;
        let beside = std::iter::once(&0.0).chain(beside);
        let negative = diagonal.iter().zip(beside).filter(|&(&a, &b)| {
            pivot = a - x - b * b / pivot;
            if pivot == 0.0 {
                pivot = f64::MIN_POSITIVE;
            }
            pivot < 0.0
        });
        negative.count()
    };
    for _ in 0..halvings {
        let x = f64::midpoint(low, high);
        if below(x) >= k { high = x } else { low = x }
    }
    high
}
