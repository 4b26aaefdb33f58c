//! Named arrays stored one after the other in a flat vector, and flat vectors as a vector space.

use hypertape_autodiff::{Element, Shape, dot};

/// Named arrays with their values, in a declared order.
///
/// ```
/// use hypertape_autodiff::Shape;
/// use hypertape_solver::Params;
/// let x = Params::new().with("penalty", Shape::SCALAR, [-1.0]).with("w", Shape::column(2), [3.0, 4.0]);
/// assert_eq!(x.values(), [-1.0, 3.0, 4.0]);
/// assert_eq!(x.get("w"), Some(&[3.0, 4.0][..]));
/// assert_eq!(x.iter().next(), Some(("penalty", Shape::SCALAR, &[-1.0][..])));
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Params<T> {
    names: Vec<String>,
    shapes: Vec<Shape>,
    values: Vec<T>,
}

/// Serialised as a list of arrays.
#[cfg(feature = "serde")]
mod serial {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{Element, Params, Shape};

    #[derive(Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Named {
        name: String,
        rows: u32,
        cols: u32,
        values: Vec<f64>,
    }

    impl<T: Element> Serialize for Params<T> {
        fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            to.collect_seq(self.iter().map(|(name, Shape { rows, cols }, values)| Named {
                name: name.to_owned(),
                rows,
                cols,
                values: values.iter().map(|v| v.as_f64()).collect(),
            }))
        }
    }

    impl<'d, T: Element> Deserialize<'d> for Params<T> {
        fn deserialize<D: Deserializer<'d>>(from: D) -> Result<Self, D::Error> {
            let mut params = Self::new();
            for Named { name, rows, cols, values } in Vec::<Named>::deserialize(from)? {
                let (shape, found) = (Shape::new(rows, cols), values.len());
                if shape.len() != found {
                    let why = format!("array {name}: found {found} values, expected {shape}");
                    return Err(D::Error::custom(why));
                }
                params = params.with(name, shape, values.into_iter().map(T::from_f64));
            }
            Ok(params)
        }
    }
}

impl<T: Element> Params<T> {
    /// Creates an empty list of arrays.
    pub fn new() -> Self {
        Self { names: Vec::new(), shapes: Vec::new(), values: Vec::new() }
    }

    /// Appends an array, with its values row by row.
    ///
    /// # Panics
    /// Panics if the number of values is not that of `shape`.
    #[must_use]
    #[track_caller]
    pub fn with(
        mut self,
        name: impl Into<String>,
        shape: Shape,
        values: impl IntoIterator<Item = T>,
    ) -> Self {
        let (name, start) = (name.into(), self.values.len());
        self.values.extend(values);
        let found = self.values.len() - start;
        assert_eq!(found, shape.len(), "array {name} of shape {shape}: wrong number of values");
        self.names.push(name);
        self.shapes.push(shape);
        self
    }

    /// Appends a column.
    ///
    /// # Panics
    /// Panics if there are more than `u32::MAX` values.
    #[must_use]
    #[track_caller]
    pub fn with_column(self, name: impl Into<String>, values: &[T]) -> Self {
        let rows = u32::try_from(values.len()).expect("arrays have at most u32::MAX rows");
        self.with(name, Shape::column(rows), values.iter().copied())
    }

    /// Whether `other` has the same names and shapes.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        (&self.names, &self.shapes) == (&other.names, &other.shapes)
    }

    /// Returns names and shapes as text.
    pub(crate) fn declared(&self) -> String {
        let each = self.iter().map(|(name, shape, _)| format!("{name} {shape}"));
        format!("[{}]", each.collect::<Vec<_>>().join(", "))
    }

    /// Names, in order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Shapes, in order.
    pub fn shapes(&self) -> &[Shape] {
        &self.shapes
    }

    /// Iterates over name, shape and values of each array, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Shape, &[T])> {
        let mut rest = &self.values[..];
        self.names.iter().zip(&self.shapes).map(move |(name, &shape)| {
            let (own, others) = rest.split_at(shape.len());
            rest = others;
            (name.as_str(), shape, own)
        })
    }

    /// Returns the same arrays with other values, array after array.
    ///
    /// # Panics
    /// Panics if the number of values differs.
    #[must_use]
    #[track_caller]
    pub fn with_values(&self, values: &[T]) -> Self {
        assert_eq!(values.len(), self.values.len(), "values of named arrays");
        Self { values: values.to_vec(), ..self.clone() }
    }

    /// All values, array after array.
    pub fn values(&self) -> &[T] {
        &self.values
    }

    /// All values, array after array, for modification.
    pub fn values_mut(&mut self) -> &mut [T] {
        &mut self.values
    }

    /// Returns the name of an entry, for example `w[3]`, counted from 0 row by row.
    pub(crate) fn entry(&self, mut i: usize) -> String {
        for (name, shape, _) in self.iter() {
            if i < shape.len() {
                return format!("{name}[{i}]");
            }
            i -= shape.len();
        }
        format!("entry {i}")
    }

    /// Returns the values of the array called `name`, if there is one.
    pub fn get(&self, name: &str) -> Option<&[T]> {
        self.iter().find(|array| array.0 == name).map(|(.., values)| values)
    }
}

/// Multiplies a vector by a number: `y <- a y`.
///
/// ```
/// let mut y = [3.0, 4.0];
/// hypertape_solver::scale(&mut y, 2.0);
/// assert_eq!(y, [6.0, 8.0]);
/// ```
pub fn scale<T: Element>(y: &mut [T], a: T) {
    for y in y {
        *y = a * *y;
    }
}

/// Euclidean norm, computed without overflow or underflow of squares.
///
/// ```
/// use hypertape_solver::norm;
/// assert_eq!(norm(&[3.0, 4.0]), 5.0);
/// assert_eq!((norm(&[3e30_f32, 4e30]), norm(&[3e-30_f32, 4e-30])), (5e30, 5e-30));
/// ```
pub fn norm<T: Element>(a: &[T]) -> T {
    let square = dot(a, a);
    // Smaller squares have lost digits.
    let least = T::min_positive_value() / T::epsilon();
    if square.is_nan() || (least..T::infinity()).contains(&square) {
        return square.sqrt();
    }
    let most = T::from_f64(largest(a));
    if most.is_zero() || most.is_infinite() {
        return most;
    }
    // A power of two, so that scaling does not round.
    let unit = T::from_f64(most.as_f64().log2().floor().exp2());
    let square = a.iter().fold(T::zero(), |sum, &v| sum + (v / unit) * (v / unit));
    unit * square.sqrt()
}

/// Returns the largest absolute value of an entry.
pub(crate) fn largest<T: Element>(a: &[T]) -> f64 {
    // Maxima of every eighth entry, so that they do not wait for each other. `NaN` is larger than nothing.
    let larger = |most: T, a: T| if a > most { a } else { most };
    let (parts, rest) = a.as_chunks::<8>();
    let mut most = [T::zero(); 8];
    for part in parts {
        for (most, a) in most.iter_mut().zip(part) {
            *most = larger(*most, a.abs());
        }
    }
    most.into_iter().chain(rest.iter().map(|a| a.abs())).fold(T::zero(), larger).as_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "array w of shape 2x1: wrong number of values")]
    fn a_wrong_declaration_is_named() {
        let _ = Params::new().with("w", Shape::column(2), [1.0]);
    }
}
