//! Solutions, failures and counts on small dense matrices.

mod hard;

use hypertape_autodiff::dot;
use proptest::prelude::*;
use rand::RngExt;

use super::*;
use crate::draw::{Draw, Level};
use crate::error::Error;
use crate::params::norm;

type Solver<'s> = &'s dyn LinearSolver<f64>;

/// A square matrix, row by row.
#[derive(Clone, Debug)]
struct Matrix(Vec<Vec<f64>>);

impl Matrix {
    /// `Q diag(values) Q'`, where `Q` is a product of reflections drawn with `seed`.
    fn with_eigenvalues(values: &[f64], seed: u64) -> Self {
        let p = values.len();
        let mut random = Draw::new(seed, 0).stream();
        let mut rows: Vec<Vec<f64>> = (0..p)
            .map(|i| (0..p).map(|j| if i == j { values[i] } else { 0.0 }).collect())
            .collect();
        for _ in 0..3 {
            let u: Vec<f64> = (0..p).map(|_| random.random_range(-1.0..1.0)).collect();
            let scale = 2.0 / dot(&u, &u);
            // From the left and from the right, with a transposition in between.
            for _ in 0..2 {
                for row in &mut rows {
                    let along = scale * dot(row, &u);
                    row.iter_mut().zip(&u).for_each(|(r, u)| *r -= along * u);
                }
                rows = (0..p).map(|j| rows.iter().map(|row| row[j]).collect()).collect();
            }
        }
        Self(rows)
    }

    fn times(&self, u: &[f64]) -> Vec<f64> {
        self.0.iter().map(|row| dot(row, u)).collect()
    }
}

/// A right-hand side without symmetry.
fn right(p: usize) -> Vec<f64> {
    (0..p).map(|i| (1.3 * i as f64 + 0.4).cos() + 0.2).collect()
}

/// The matrix as a solver sees it, with counts. Scratch contains arbitrary values on entry.
struct Counted<'h> {
    h: &'h Matrix,
    products: usize,
    taken: usize,
    held: usize,
}

impl Operator<f64> for Counted<'_> {
    fn product(&mut self, u: &[f64], hu: &mut [f64]) -> Result<(), Error> {
        self.products += 1;
        hu.copy_from_slice(&self.h.times(u));
        Ok(())
    }

    fn take(&mut self, len: usize) -> Result<Vec<f64>, Error> {
        (self.taken, self.held) = (self.taken + len, self.held + len);
        Ok(vec![f64::NAN; len])
    }

    fn give(&mut self, vector: Vec<f64>) {
        self.held -= vector.len();
    }
}

/// The result of a solver: `v`, iterations, products, and `|b - H v| / |b|`.
#[derive(Debug)]
struct Solved {
    v: Vec<f64>,
    iterations: usize,
    products: usize,
    residual: f64,
}

fn solve(solver: Solver, h: &Matrix, start: Option<&[f64]>) -> Result<Solved, Error> {
    let b = right(h.0.len());
    let mut v = vec![f64::NAN; b.len()];
    solver.check()?;
    let mut counted = Counted { h, products: 0, taken: 0, held: 0 };
    let mut system = System::new(&mut counted, &b, &mut v);
    (system.step, system.draw) = (0.1, Draw::new(5, 0).at(Level::Coin, 0));
    if let Some(start) = start {
        system.v.copy_from_slice(start);
        system.warm = true;
    }
    let iterations = solver.solve(&mut system)?;
    let Counted { products, taken, held, .. } = counted;
    // The memory counted in advance is that which is taken, and all of it is given back.
    assert_eq!((taken, held), (scratch(solver, b.len()), 0), "{solver:?}");
    let left: Vec<f64> = h.times(&v).iter().zip(&b).map(|(h, b)| b - h).collect();
    Ok(Solved { residual: norm(&left) / norm(&b), v, iterations, products })
}

fn stop(iterations: usize, tolerance: f64) -> Stop {
    Stop { iterations, tolerance }
}

/// All solvers of definite systems, with enough iterations for eigenvalues from 0.5 to 2.
fn all() -> [Box<dyn LinearSolver<f64>>; 7] {
    let far = stop(400, 1e-13);
    [
        Box::new(Cg { stop: far }),
        Box::new(Minres { stop: far }),
        Box::new(Gmres { stop: far }),
        Box::new(FixedPoint { stop: far, lr: Some(0.7) }),
        Box::new(Neumann { terms: 200, lr: Some(0.7) }),
        Box::new(Nystrom { stop: far, rank: 2, shift: None }),
        Box::new(Dense),
    ]
}

#[test]
fn the_identity_takes_one_iteration() {
    let identity = Matrix::with_eigenvalues(&[1.0; 4], 0);
    let expected = right(4);
    for solver in [
        &Cg { stop: stop(1, 0.0) } as Solver,
        &Minres { stop: stop(1, 0.0) },
        &Gmres { stop: stop(1, 0.0) },
        &FixedPoint { stop: stop(1, 0.0), lr: Some(1.0) },
        &Neumann { terms: 1, lr: Some(1.0) },
        &Nystrom { stop: stop(1, 0.0), rank: 2, shift: Some(1e6) },
        &Dense,
    ] {
        let found = solve(solver, &identity, None).unwrap();
        let gap = found.v.iter().zip(&expected).map(|(v, e)| (v - e).abs()).fold(0.0, f64::max);
        // The sketch contributes 1e-6 of the shift, the rest is rounding.
        let tolerance = if solver.name().starts_with("nystrom") { 1e-6 } else { 1e-14 };
        assert!(gap < tolerance, "{solver:?}: {found:?}");
    }
}

#[test]
fn one_unknown_is_no_special_case() {
    for solver in all() {
        let found = solve(&*solver, &Matrix(vec![vec![0.8]]), None).unwrap();
        assert!((found.v[0] - right(1)[0] / 0.8).abs() < 2e-13, "{solver:?}: {found:?}");
    }
}

#[test]
fn every_tolerance_is_met_by_the_true_residual() {
    let h = Matrix::with_eigenvalues(&[0.1, 0.4, 1.0, 1.7, 2.5, 4.0], 1);
    for tolerance in [1e-2, 1e-4, 1e-10] {
        let stop = stop(1000, tolerance);
        for solver in [
            &Cg { stop } as Solver,
            &Minres { stop },
            &Gmres { stop },
            &FixedPoint { stop, lr: Some(0.4) },
            &Nystrom { stop, rank: 2, shift: None },
        ] {
            let found = solve(solver, &h, None).unwrap();
            assert!(found.residual <= 1.001 * tolerance, "{solver:?}: {found:?}");
            // No later than needed: one iteration fewer does not reach the tolerance.
            let fewer = Stop { iterations: found.iterations - 1, tolerance };
            let earlier: Solver = match solver.name().split(':').next().unwrap() {
                "cg" => &Cg { stop: fewer },
                "minres" => &Minres { stop: fewer },
                "gmres" => &Gmres { stop: fewer },
                "fixed-point" => &FixedPoint { stop: fewer, lr: Some(0.4) },
                _ => continue,
            };
            let before = solve(earlier, &h, None).unwrap();
            assert!(before.residual > tolerance, "{solver:?}: {before:?}");
        }
    }
}

#[test]
fn conjugate_gradients_keep_their_bound_and_end_at_the_dimension() {
    let values = [0.1, 0.4, 1.0, 1.7, 2.5, 4.0];
    let h = Matrix::with_eigenvalues(&values, 2);
    let exact = solve(&Dense, &h, None).unwrap();
    assert!(exact.residual < 1e-14 && exact.products == 6, "{exact:?}");
    let energy = |v: &[f64]| {
        let gap: Vec<f64> = v.iter().zip(&exact.v).map(|(v, e)| v - e).collect();
        dot(&gap, &h.times(&gap)).sqrt()
    };
    let root = 40.0_f64.sqrt();
    for k in 1_u8..=6 {
        let cg = Cg { stop: stop(k.into(), 0.0) };
        let found = solve(&cg, &h, None).unwrap();
        let bound = 2.0 * ((root - 1.0) / (root + 1.0)).powi(k.into()) * energy(&[0.0; 6]);
        assert!(energy(&found.v) <= bound, "{k}: {} {bound}", energy(&found.v));
        assert_eq!((found.iterations, found.products), (k.into(), k.into()));
    }
    let found = solve(&Cg { stop: stop(6, 0.0) }, &h, None).unwrap();
    assert!(energy(&found.v) < 1e-12, "{found:?}");
}

#[test]
fn indefinite_systems() {
    let h = Matrix::with_eigenvalues(&[-1.5, -0.3, 0.2, 1.0, 3.0], 3);
    let exact = solve(&Dense, &h, None).unwrap();
    let mut before = 1.0;
    for k in 1..=5 {
        let found = solve(&Minres { stop: stop(k, 0.0) }, &h, None).unwrap();
        assert!(found.residual <= before, "{k}: {found:?}");
        before = found.residual;
    }
    assert!(before < 1e-13, "{before}");
    let found = solve(&Minres { stop: stop(50, 1e-12) }, &h, None).unwrap();
    assert!(found.iterations <= 6, "{found:?}");
    let gap = found.v.iter().zip(&exact.v).map(|(v, e)| (v - e).abs()).fold(0.0, f64::max);
    assert!(gap < 1e-12, "{gap:e}");
    for solver in [
        &Cg { stop: stop(9, 0.0) } as Solver,
        &Nystrom { stop: stop(9, 0.0), rank: 2, shift: Some(0.1) },
    ] {
        let error = solve(solver, &h, None).unwrap_err();
        assert!(matches!(error, Error::Indefinite { curvature, .. } if curvature < 0.0), "{error}");
    }
    // The reported curvature is that of the direction: of b at the first iteration.
    let error = solve(&Cg { stop: stop(9, 0.0) }, &Matrix(vec![vec![-2.0]]), None);
    let told = Error::Indefinite { iteration: 0, curvature: -2.0 };
    assert_eq!(error.unwrap_err(), told);
    assert!(told.to_string().contains("curvature -2e0 at iteration 0"), "{told}");
}

#[test]
fn singular_systems_are_told() {
    let h = Matrix(vec![vec![1.0, 1.0], vec![1.0, 1.0]]);
    let error = solve(&Dense, &h, None).unwrap_err();
    assert_eq!(error, Error::Singular { pivot: 0.0, least: 2.0 * f64::EPSILON });
    // The residual of minimum residuals is the part of b outside the range.
    let found = solve(&Minres { stop: stop(9, 0.0) }, &h, None).unwrap();
    let b = right(2);
    let outside = (b[0] - b[1]).abs() / 2.0_f64.sqrt() / norm(&b);
    assert!((found.residual - outside).abs() < 1e-14, "{found:?} {outside}");
}

#[test]
fn the_neumann_series_is_its_sum() {
    let h = Matrix::with_eigenvalues(&[0.2, 0.9, 1.4], 4);
    for terms in 1..6 {
        let found = solve(&Neumann { terms, lr: None }, &h, None).unwrap();
        let (mut term, mut sum) = (right(3), vec![0.0; 3]);
        for _ in 0..terms {
            sum.iter_mut().zip(&term).for_each(|(s, t)| *s += 0.1 * t);
            let ht = h.times(&term);
            term.iter_mut().zip(&ht).for_each(|(t, h)| *t -= 0.1 * h);
        }
        let gap = found.v.iter().zip(&sum).map(|(v, s)| (v - s).abs()).fold(0.0, f64::max);
        assert!(gap < 1e-15, "{terms}: {gap:e}");
        assert_eq!(found.products, terms - 1);
        // The residual is the next term of the series.
        let next = norm(&term) / norm(&right(3));
        assert!((found.residual - next).abs() < 1e-15, "{terms}: {found:?} {next}");
    }
}

#[test]
fn a_sketch_of_the_large_eigenvalues_spares_iterations() {
    let values: Vec<f64> = (0..40)
        .map(|i| if i < 5 { 1e4 * f64::from(i + 1) } else { 1.0 + f64::from(i) / 40.0 })
        .collect();
    let h = Matrix::with_eigenvalues(&values, 6);
    let far = stop(200, 1e-8);
    let plain = solve(&Cg { stop: far }, &h, None).unwrap();
    let sketched = solve(&Nystrom { stop: far, rank: 8, shift: Some(2.0) }, &h, None).unwrap();
    assert!(plain.residual < 1e-7 && sketched.residual < 1e-7, "{plain:?} {sketched:?}");
    // The preconditioned spectrum is within a factor of two: by the bound of the module text, with sqrt(5e4/2) between
    // residual and energy, 14 iterations reach 1e-8. Five outliers of different sizes need as many again.
    assert!(sketched.iterations <= 14 && plain.iterations >= 28, "{plain:?} {sketched:?}");
    assert_eq!(sketched.products, 8 + sketched.iterations);
    // More columns than the matrix has nonzero eigenvalues.
    let low = Matrix::with_eigenvalues(&[3.0, 1.0, 1e-9, 1e-9, 1e-9], 7);
    let found = solve(&Nystrom { stop: far, rank: 4, shift: None }, &low, None);
    assert!(found.unwrap().residual < 1e-7);
}

#[test]
fn a_start_near_the_solution_is_used() {
    let h = Matrix::with_eigenvalues(&[0.5, 1.0, 1.5, 2.0], 8);
    let exact = solve(&Dense, &h, None).unwrap().v;
    let near: Vec<f64> = exact.iter().map(|v| v * (1.0 + 1e-6)).collect();
    for solver in [
        &Cg { stop: stop(1, 0.0) } as Solver,
        &Minres { stop: stop(1, 0.0) },
        &Gmres { stop: stop(1, 0.0) },
        &FixedPoint { stop: stop(1, 0.0), lr: Some(0.7) },
        &Nystrom { stop: stop(1, 0.0), rank: 2, shift: None },
    ] {
        let found = solve(solver, &h, Some(&near)).unwrap();
        assert!(found.residual < 1e-6, "{solver:?}: {found:?}");
        let sketch = if solver.name().starts_with("nystrom") { 2 } else { 0 };
        let cold = usize::from(!solver.name().starts_with("fixed-point"));
        assert_eq!(found.products, 1 + sketch + cold, "{solver:?}");
    }
}

#[test]
fn a_product_that_fails_is_passed_on() {
    for solver in all() {
        let (b, mut v) = (right(3), [0.0; 3]);
        let told = Error::Diverged { loss: 1.0, limit: 0.0 };
        let mut fails = |_: &[f64], _: &mut [f64]| Err(told.clone());
        let result = solver.solve(&mut System::new(&mut fails, &b, &mut v));
        assert_eq!(result.unwrap_err(), told, "{solver:?}");
    }
}

#[test]
fn settings_are_checked() {
    for (solver, text) in [
        (
            &Cg { stop: stop(0, 0.0) } as Solver,
            "iterations of cg: found 0, expected a whole number, 1 or more",
        ),
        (
            &Gmres { stop: stop(1, f64::NAN) },
            "tolerance of gmres: found NaN, expected a finite number, 0 or more",
        ),
        (
            &Neumann { terms: 0, lr: None },
            "terms of neumann: found 0, expected a whole number, 1 or more",
        ),
        (
            &Neumann { terms: 3, lr: Some(-1.0) },
            "lr of neumann: found -1, expected a positive finite number",
        ),
        (
            &Nystrom { stop: stop(1, 0.0), rank: 0, shift: None },
            "rank of nystrom: found 0, expected a whole number, 1 or more",
        ),
        (
            &Nystrom { stop: stop(1, 0.0), rank: 1, shift: Some(0.0) },
            "shift of nystrom: found 0, expected a positive finite number",
        ),
    ] {
        assert_eq!(solver.check().unwrap_err().to_string(), text);
    }
}

proptest! {
    #[test]
    fn all_solvers_agree_on_definite_systems(
        values in proptest::collection::vec(0.5..2.0_f64, 1..9),
        seed in 0_u64..1000,
    ) {
        let h = Matrix::with_eigenvalues(&values, seed);
        for solver in all() {
            let found = solve(&*solver, &h, None).unwrap();
            // Tolerances of 1e-13, and (1 - 0.35)^200.
            prop_assert!(found.residual < 1e-12, "{:?}: {:?}", solver, found);
        }
    }
}

/// `I - M` with an `M` of `p` rows that shrinks every vector to at most 0.9, and that no permutation makes symmetric.
fn contraction(p: usize) -> Matrix {
    let m = |i: usize, j: usize| {
        ((1.3 * i as f64 + 1.0) * (0.7 * j as f64 + 0.5)).sin() * 0.9 / p as f64
    };
    let row = |i| (0..p).map(|j| f64::from(u8::from(i == j)) - m(i, j)).collect();
    Matrix((0..p).map(row).collect())
}

#[test]
fn systems_without_symmetry() {
    let h = contraction(7);
    let far = stop(400, 1e-13);
    for solver in all().iter().filter(|solver| !solver.symmetric()) {
        let found = match solver.name().split(':').next().unwrap() {
            // Of the whole matrix, which is declared not to be symmetric.
            "dense" => {
                let (b, mut v) = (right(7), [0.0; 7]);
                let mut product = |u: &[f64], hu: &mut [f64]| {
                    hu.copy_from_slice(&h.times(u));
                    Ok(())
                };
                let mut system = System::new(&mut product, &b, &mut v);
                system.symmetric = false;
                solver.solve(&mut system).unwrap();
                v.to_vec()
            }
            _ => solve(&**solver, &h, None).unwrap().v,
        };
        let left: Vec<f64> = h.times(&found).iter().zip(right(7)).map(|(h, b)| b - h).collect();
        // Tolerances of 1e-13; 200 terms that shrink at least by 0.3 + 0.7 0.9.
        let tolerance =
            if solver.name().starts_with("neumann") { 0.93_f64.powi(200) } else { 1e-12 };
        assert!(norm(&left) < tolerance * norm(&right(7)), "{solver:?}: {left:?}");
    }
    let mut before = 1.0;
    for k in 1..=7 {
        let found = solve(&Gmres { stop: stop(k, 0.0) }, &h, None).unwrap();
        assert!(found.residual <= before && found.products == k, "{k}: {found:?}");
        before = found.residual;
    }
    // It ends after as many iterations as the dimension.
    assert!(before < 1e-14, "{before:e}");
    let found = solve(&Gmres { stop: far }, &h, None).unwrap();
    assert!(found.iterations <= 7 && found.residual < 1e-13, "{found:?}");
    // On a symmetric matrix its iterates equal those of minimum residuals.
    let h = Matrix::with_eigenvalues(&[-1.5, -0.3, 0.2, 1.0, 3.0], 3);
    for k in 1..=5 {
        let [general, symmetric] =
            [&Gmres { stop: stop(k, 0.0) } as Solver, &Minres { stop: stop(k, 0.0) }]
                .map(|solver| solve(solver, &h, None).unwrap().v);
        let gap = general.iter().zip(&symmetric).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        // Rounding divided by the smallest eigenvalue.
        assert!(gap < 1e-13, "{k}: {gap:e}");
    }
}
