//! The fields of JSON objects (feature `serde`), which are read one by one, each with its type. Unknown fields are
//! errors.

use serde_json::{Map, Value, json};

use crate::array::by_value::Method;
use crate::array::kernels::convolution::Role;
use crate::graph::ListInput;
use crate::graph::error::GraphError;
use crate::graph::setting::Indices;
use crate::shape::{Axis, Shape};

/// A type of values in a file.
#[doc(hidden)]
pub trait Field: Sized {
    /// The expected form of a value, for errors.
    const EXPECTED: &str;
    /// The expected form of a list of values, for errors.
    const LIST: &str = "a list of numbers";
    /// Reads a value from JSON; `lists` are the lists that it may name.
    fn read(value: &Value, lists: &[ListInput]) -> Option<Self>;
    /// Writes the value as JSON.
    fn write(&self, lists: &[ListInput]) -> Value;
}

/// Implements [`Field`] for types whose values are values of JSON.
macro_rules! json_values {
    ($($type:ty, $expected:literal, |$value:ident| $read:expr $(, $list:literal)?;)*) => {$(
        impl Field for $type {
            const EXPECTED: &str = $expected;
            $(const LIST: &str = $list;)?
            fn read($value: &Value, _: &[ListInput]) -> Option<Self> {
                $read
            }
            fn write(&self, _: &[ListInput]) -> Value {
                json!(self)
            }
        }
    )*};
}
json_values! {
    bool, "true or false", |value| value.as_bool();
    u32, "a whole number below 2^32", |value| value.as_u64()?.try_into().ok();
    usize, "a whole number", |value| value.as_u64()?.try_into().ok();
    String, "text", |value| value.as_str().map(str::to_owned), "a list of texts";
}

impl Field for Shape {
    const EXPECTED: &str = "[rows, columns]";
    fn read(value: &Value, lists: &[ListInput]) -> Option<Self> {
        let [rows, cols] = &value.as_array()?[..] else { return None };
        Some(Self::new(u32::read(rows, lists)?, u32::read(cols, lists)?))
    }
    fn write(&self, _: &[ListInput]) -> Value {
        json!([self.rows, self.cols])
    }
}

/// Implements [`Field`] for a type whose values are words.
macro_rules! words {
    ($type:ty, $expected:literal, $($word:literal $variant:path),*) => {
        impl Field for $type {
            const EXPECTED: &str = $expected;
            fn read(value: &Value, _: &[ListInput]) -> Option<Self> {
                match value.as_str()? {
                    $($word => Some($variant),)*
                    _ => None,
                }
            }
            fn write(&self, _: &[ListInput]) -> Value {
                json!(match self {
                    $($variant => $word),*
                })
            }
        }
    };
}
words!(Role, "\"input\", \"kernel\" or \"output\"",
    "input" Role::Input, "kernel" Role::Kernel, "output" Role::Output);
words!(Method, "\"lu\", \"cholesky\", \"lower\" or \"upper\"",
    "lu" Method::Lu, "cholesky" Method::Cholesky, "lower" Method::Lower, "upper" Method::Upper);
words!(Axis, "\"rows\" or \"columns\"", "rows" Axis::Rows, "columns" Axis::Columns);

impl Field for Indices {
    const EXPECTED: &str = "whole numbers below 2^32, or the name of a list";
    fn read(value: &Value, lists: &[ListInput]) -> Option<Self> {
        if let Some(name) = value.as_str() {
            return lists.iter().position(|list| list.name == name).map(Self::Named);
        }
        let each = value.as_array()?.iter().map(|v| u32::read(v, lists));
        each.collect::<Option<_>>().map(Self::Given)
    }
    fn write(&self, lists: &[ListInput]) -> Value {
        match self {
            Self::Given(list) | Self::Alike(list) => json!(list),
            Self::Named(number) => json!(lists[*number].name),
        }
    }
}

impl Field for f64 {
    const EXPECTED: &str = "a number, or \"inf\", \"-inf\" or \"nan\"";
    fn read(value: &Value, _: &[ListInput]) -> Option<Self> {
        match value.as_str() {
            None => value.as_f64(),
            Some("inf") => Some(Self::INFINITY),
            Some("-inf") => Some(Self::NEG_INFINITY),
            Some("nan") => Some(Self::NAN),
            Some(_) => None,
        }
    }
    fn write(&self, _: &[ListInput]) -> Value {
        if self.is_finite() {
            return json!(self);
        }
        json!(if self.is_nan() { "nan".to_owned() } else { self.to_string() })
    }
}

impl<F: Field> Field for Vec<F> {
    const EXPECTED: &str = F::LIST;
    fn read(value: &Value, lists: &[ListInput]) -> Option<Self> {
        value.as_array()?.iter().map(|v| F::read(v, lists)).collect()
    }
    fn write(&self, lists: &[ListInput]) -> Value {
        self.iter().map(|v| v.write(lists)).collect()
    }
}

/// The fields of an object, which are taken one by one.
#[doc(hidden)]
#[derive(Debug)]
pub struct Fields<'l> {
    what: String,
    map: Map<String, Value>,
    lists: &'l [ListInput],
}

impl<'l> Fields<'l> {
    /// Reads an object, which errors call `what`.
    ///
    /// # Errors
    /// Returns [`GraphError::Invalid`] if the value is not an object.
    pub fn new(what: String, value: Value, lists: &'l [ListInput]) -> Result<Self, GraphError> {
        match value {
            Value::Object(map) => Ok(Self { what, map, lists }),
            other => Err(GraphError::invalid(what, shown(&other), "an object")),
        }
    }

    /// Creates an error about a field.
    pub fn wrong(&self, name: &str, found: String, expected: &str) -> GraphError {
        GraphError::invalid(format!("{}: {name}", self.what), found, expected)
    }

    /// Returns whether the object has a field of this name.
    pub fn has(&self, name: &str) -> bool {
        self.map.contains_key(name)
    }

    /// Takes a field of any type.
    ///
    /// # Errors
    /// Returns [`GraphError::Invalid`] if there is no such field.
    pub fn any(&mut self, name: &str) -> Result<Value, GraphError> {
        let value = self.map.remove(name);
        value.ok_or_else(|| GraphError::invalid(&self.what, format!("no {name:?}"), "one"))
    }

    /// Takes a field of type `F`.
    ///
    /// # Errors
    /// Returns [`GraphError::Invalid`] if there is no such field or it has another type.
    pub fn take<F: Field>(&mut self, name: &str) -> Result<F, GraphError> {
        let value = self.any(name)?;
        F::read(&value, self.lists).ok_or_else(|| self.wrong(name, shown(&value), F::EXPECTED))
    }

    pub(crate) fn list(&mut self, name: &str) -> Result<Vec<Value>, GraphError> {
        match self.any(name)? {
            Value::Array(list) => Ok(list),
            other => Err(self.wrong(name, shown(&other), "a list")),
        }
    }

    /// Checks that no fields are left.
    ///
    /// # Errors
    /// Returns [`GraphError::Invalid`] with the name of a field that is left.
    pub fn done(self) -> Result<(), GraphError> {
        match self.map.keys().next() {
            None => Ok(()),
            Some(name) => {
                Err(GraphError::invalid(self.what, format!("{:?}", cut(name)), "no such field"))
            }
        }
    }
}

/// Shortens a text for an error.
pub(crate) fn cut(text: &str) -> String {
    text.chars().take(40).collect()
}

fn shown(value: &Value) -> String {
    cut(&value.to_string())
}
