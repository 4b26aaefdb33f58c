//! Conversion from and to matrices and vectors of other crates, and their generic code on scalars with derivatives.

use hypertape_autodiff::scalar::{Dual, Tape};
use hypertape_autodiff::{Arena, Array, Element, Function, Shape, Tensor, Workspace};
use nalgebra::{DMatrix, DVector, SMatrix, SVector};
use ndarray::{Array1, Array2, s};

#[test]
fn ndarray_is_borrowed_where_it_can_be() {
    let (arena, all) = (Arena::new(), Array2::from_shape_fn((3, 4), |(i, j)| (4 * i + j) as f64));
    let whole = Tensor::from_ndarray(&arena, &all.view());
    // A line for the shape.
    assert_eq!((whole.values().as_ptr(), arena.used()), (all.as_ptr(), 64));
    for view in
        [all.slice(s![.., 1..3]), all.slice(s![..;-1, ..]), all.t(), all.slice(s![0..0, ..])]
    {
        let copied = Tensor::from_ndarray(&arena, &view);
        assert_eq!(copied.to_ndarray(), view);
    }
    arena.status().unwrap();
    arena.set_limit(arena.used());
    assert!(Tensor::from_ndarray(&arena, &all.t()).shape().is_empty() && arena.status().is_err());
}

#[test]
fn nalgebra_is_transposed_in_and_out() {
    let (arena, m) = (Arena::new(), DMatrix::from_fn(3, 4, |i, j| (10 * i + j) as f32));
    for tensor in
        [Tensor::from_nalgebra(&arena, &m), Tensor::from_nalgebra(&arena, &m.columns(0, 2))]
    {
        let columns = tensor.shape().cols as usize;
        assert_eq!(tensor.values()[columns], 10.0);
        assert_eq!(tensor.to_nalgebra(), m.columns(0, columns));
    }
    assert_eq!(
        Tensor::from_nalgebra(&arena, &DVector::from_element(5, 1.0)).shape(),
        Shape::column(5)
    );
    assert!(Tensor::from_nalgebra(&arena, &DMatrix::<f64>::zeros(2, 0)).values().is_empty());
}

/// `x . x / 2`
struct Half;
impl<T: Element> Function<T> for Half {
    fn eval<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A]) -> A {
        x[0].dot(x[0]) * 0.5
    }
}

#[test]
fn vectors_are_points_and_gradients() {
    let (x, mut g) = (Array1::from(vec![1.0, -2.0]), Array1::zeros(2));
    let (point, gradient) = (x.as_slice().unwrap(), g.as_slice_mut().unwrap());
    Workspace::new().gradient(&Half, &[Shape::column(2)], point, gradient).unwrap();
    assert_eq!(g, x);
    let (x, mut g) = (DVector::from(vec![1.0, -2.0]), DVector::zeros(2));
    Tape::new().gradient(|x| x[0] * x[0] + x[1] * x[1], x.as_slice(), g.as_mut_slice()).unwrap();
    assert_eq!(g, x * 2.0);
}

#[test]
fn generic_code_of_nalgebra_takes_duals() {
    type D = Dual<f64, 2>;
    // |A x|^2 has gradient 2 A^T A x.
    let (a, x) = (SMatrix::<f64, 3, 2>::new(1.0, 2.0, 0.0, -1.0, 3.0, 0.5), [0.5, -2.0]);
    let at = SVector::<D, 2>::from_fn(|i, _| Dual::variable(x[i], i));
    let y = a.map(|a| D::new(a, [0.0; 2])) * at;
    let expected = a.transpose() * a * SVector::from(x) * 2.0;
    assert_eq!(y.dot(&y).tangents(), [expected[0], expected[1]]);
}
