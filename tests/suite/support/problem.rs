//! Problems with one inner and one outer column, given by formulas.

/// `problem!(Name, x, |x| w_0, |w, x, draw| g, |w, x| f)`, optionally followed by the number of tasks.
macro_rules! problem {
    (
        $name:ident, $start:expr, |$x:ident| $init:expr,
        |$w:ident, $x2:ident, $draw:ident| $inner:expr, |$w2:ident, $x3:ident| $outer:expr
        $(, $tasks:expr)?
    ) => {
        struct $name;
        impl hypertape::Bilevel<f64> for $name {
            fn start(&self) -> hypertape::Params<f64> {
                let rows = u32::try_from($start.len()).unwrap();
                hypertape::Params::new().with("x", hypertape::Shape::column(rows), $start)
            }
            fn init<'a, A: hypertape::Array<'a, Elem = f64>>(
                &'a self,
                x: &[A],
                _: hypertape::Draw,
            ) -> hypertape::List<A> {
                let $x = x[0];
                hypertape::List::from_slice(&[$init])
            }
            fn inner<'a, A: hypertape::Array<'a, Elem = f64>>(
                &'a self,
                w: &[A],
                x: &[A],
                $draw: hypertape::Draw,
                _: hypertape::Rows,
            ) -> A {
                let ($w, $x2) = (w[0], x[0]);
                $inner
            }
            fn outer<'a, A: hypertape::Array<'a, Elem = f64>>(
                &'a self,
                w: &[A],
                x: &[A],
                _: hypertape::Draw,
                _: hypertape::Rows,
            ) -> A {
                let ($w2, $x3) = (w[0], x[0]);
                $outer
            }
            $(fn tasks(&self) -> usize {
                $tasks
            })?
        }
    };
}

/// A constant column.
pub(crate) fn column<'a, A: hypertape::Array<'a, Elem = f64>>(like: A, values: &'a [f64]) -> A {
    like.constant(hypertape::Shape::column(u32::try_from(values.len()).unwrap()), values)
}

/// A constant matrix with rows of `columns` values.
pub(crate) fn matrix<'a, A: hypertape::Array<'a, Elem = f64>>(
    like: A,
    values: &'a [f64],
    columns: u32,
) -> A {
    let rows = u32::try_from(values.len()).unwrap() / columns;
    like.constant(hypertape::Shape::new(rows, columns), values)
}

pub(crate) use problem;
