//! Singular, indefinite and ill-conditioned systems in both precisions, compared with dense least squares. The result
//! is never worse than `v = 0`, and where the system determines the least-squares residual, minimum residuals reach it.

use hypertape_autodiff::{Element, dot};
use proptest::prelude::*;

use super::Matrix;
use crate::error::Error;
use crate::linear::{Cg, Dense, Gmres, LinearSolver, Minres, Nystrom, Stop, System};
use crate::params::norm;

/// `|b - A v| / |b|` in double precision for the `v` computed in precision `T`, with the matrix rounded to `T`.
fn residual<T: Element>(
    solver: &dyn LinearSolver<T>,
    matrix: &Matrix,
    b: &[f64],
) -> Result<f64, Error> {
    let cast = |values: &[f64]| values.iter().map(|&v| T::from_f64(v)).collect::<Vec<T>>();
    let (rows, b): (Vec<_>, _) = (matrix.0.iter().map(|row| cast(row)).collect(), cast(b));
    let mut v = vec![T::zero(); b.len()];
    let mut product = |u: &[T], au: &mut [T]| {
        au.iter_mut().zip(&rows).for_each(|(au, row)| *au = dot(row, u));
        Ok(())
    };
    solver.solve(&mut System::new(&mut product, &b, &mut v))?;
    let wide = |values: &[T]| values.iter().map(|v| v.as_f64()).collect::<Vec<_>>();
    let (v, b) = (wide(&v), wide(&b));
    let left: Vec<f64> = rows.iter().zip(&b).map(|(row, b)| b - dot(&wide(row), &v)).collect();
    Ok(norm(&left) / norm(&b))
}

/// All solvers that stop by themselves, with the settings of the command line.
fn solvers<T: Element>() -> [Box<dyn LinearSolver<T>>; 5] {
    let stop = Stop { iterations: 20, tolerance: 1e-12 };
    [
        Box::new(Minres { stop }),
        Box::new(Gmres { stop }),
        Box::new(Cg { stop }),
        Box::new(Nystrom { stop, rank: 2, shift: None }),
        Box::new(Dense),
    ]
}

/// Tests `Q diag(values) Q'` with a `Q` drawn with `seed`. `close` is the allowed distance of minimum residuals from
/// least squares, if it is tested.
fn hold<T: Element>(values: &[f64], seed: u64, b: &[f64], close: Option<f64>) {
    let matrix = Matrix::with_eigenvalues(values, seed);
    // The projection on the null space.
    let kernel: Vec<f64> = values.iter().map(|&v| f64::from(u8::from(v == 0.0))).collect();
    let least = norm(&Matrix::with_eigenvalues(&kernel, seed).times(b)) / norm(b);
    for (k, solver) in solvers::<T>().iter().enumerate() {
        let found = match residual(&**solver, &matrix, b) {
            // Elimination does not choose an iterate: the caller checks the residual.
            Ok(found) if k < 4 => found,
            Ok(_) | Err(Error::Indefinite { .. } | Error::Singular { .. }) => continue,
            Err(error) => panic!("{solver:?}: {error}"),
        };
        // Rounding of products with a long `v`.
        assert!(
            found <= 1.0 + 8.0 * T::epsilon().as_f64().sqrt(),
            "{solver:?} {values:?}: {found:e}"
        );
        if let Some(close) = close.filter(|_| k < 2) {
            assert!((found - least).abs() <= close, "{solver:?} {values:?}: {found:e} {least:e}");
        }
    }
}

/// Right sides almost within the null space or almost within the range, of which random ones are too few.
#[test]
fn least_squares_where_a_pivot_is_a_rounding_error() {
    // Conjugate gradients see the norm of the matrix only in the size of their steps.
    hold::<f64>(
        &[3.191_595_098_360_154_6, 0.0],
        902,
        &[1.132_938_132_218_109, -1.611_823_040_837_643_7],
        Some(1e-7),
    );
    let b = [-1.433_448_291_159_115_8, -1.666_857_000_167_700_8, 1.423_329_080_865_552_3];
    hold::<f64>(&[0.0, 0.0, 3.977_895_273_082_775_2], 231, &b, Some(1e-7));
    // A basis vector after one that adds little to the basis.
    let b = [1.935_104_542_899_857_4, 1.695_711_176_619_450_8];
    hold::<f64>(&[0.0, 3.417_561_281_474_670_8], 966, &b, Some(1e-7));
    // The computed pivot is above the rounding errors, but the matrix is singular up to its own.
    let b = [-0.599_292_989_768_261_3, 0.951_354_673_165_470_3, 1.886_979_783_447_130_5];
    hold::<f64>(&[3.030_974_621_374_417, 3.303_958_744_163_363_5, 0.0], 45, &b, Some(1e-7));
    hold::<f32>(&[0.0, -1.278_483_691_745_606_8], 802, &[0.0, 0.693_477_061_692_991_3], Some(1e-2));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn least_squares_of_singular_systems(
        values in proptest::collection::vec(prop_oneof![Just(0.0), 0.5..4.0_f64, -4.0..-0.5_f64], 2..8),
        seed in 0_u64..1000,
        b in proptest::collection::vec(-2.0..2.0_f64, 8),
    ) {
        let b = &b[..values.len()];
        prop_assume!(norm(b) > 0.1 && values.iter().any(|&v| v != 0.0));
        // Rounding divided by the smallest eigenvalue, over iterations with possibly small pivots.
        hold::<f64>(&values, seed, b, Some(1e-7));
        hold::<f32>(&values, seed, b, Some(1e-2));
    }

    #[test]
    fn no_iterate_of_an_ill_conditioned_system_is_worse_than_zero(
        powers in proptest::collection::vec(-1.0..0.0_f64, 2..12),
        signs in proptest::collection::vec(any::<bool>(), 12),
        definite in any::<bool>(),
        seed in 0_u64..1000,
        b in proptest::collection::vec(-2.0..2.0_f64, 12),
    ) {
        let sign = |i: usize| if definite || signs[i] { 1.0 } else { -1.0 };
        let values = |largest: f64| -> Vec<f64> {
            powers.iter().enumerate().map(|(i, p)| sign(i) * 10.0_f64.powf(largest * p)).collect()
        };
        let b = &b[..powers.len()];
        prop_assume!(norm(b) > 0.1);
        // Larger condition numbers end in `Error::Unsolved` when an estimate checks the residual.
        hold::<f64>(&values(12.0), seed, b, None);
        hold::<f32>(&values(5.0), seed, b, None);
    }
}
