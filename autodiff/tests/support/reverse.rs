//! Hessian-vector products by reverse over reverse, which no driver uses: an independent way to check the others.

use hypertape_autodiff::{Arena, Array, Function, Shape, Tape, Tensor, Var};

/// `H v` from a gradient that is itself recorded on a tape.
pub(crate) fn reverse_over_reverse<F: Function<f64>>(
    f: &F,
    shapes: &[Shape],
    x: &[f64],
    v: &[f64],
) -> Vec<f64> {
    let arena = Arena::new();
    let (inner, outer) = (Tape::new(&arena).unwrap(), Tape::new(&arena).unwrap());
    let point = Tensor::split(&arena, shapes, x).unwrap();
    let leaves: Vec<_> = point.into_iter().map(|x| inner.variable(x)).collect();
    let variables: Vec<Var<Var<Tensor<f64>>>> = leaves.iter().map(|&l| outer.variable(l)).collect();
    let y = f.eval(&variables);
    let adjoints = outer.finish().pull(&[(y.id().unwrap(), y.value().scalar(1.0))], &arena);
    let seeds: Vec<_> = variables
        .iter()
        .zip(Tensor::split(&arena, shapes, v).unwrap())
        .filter_map(|(x, v)| Some((adjoints.get(x.id()?)?.id()?, v)))
        .collect();
    let adjoints = inner.finish().pull(&seeds, &arena);
    arena.status().unwrap();
    let mut product = Vec::new();
    for (leaf, shape) in leaves.iter().zip(shapes) {
        match adjoints.get(leaf.id().unwrap()) {
            Some(adjoint) => product.extend_from_slice(adjoint.values()),
            None => product.resize(product.len() + shape.len(), 0.0),
        }
    }
    product
}
