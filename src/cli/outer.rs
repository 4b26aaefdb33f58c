//! The outer optimiser of a command: the problem's, with what was asked for in its place.

use super::args::OuterName;
use crate::Outer;

/// `default` with another optimiser, step size or decay. The step size stays where only the optimiser is replaced, so
/// that one setting changes one thing.
///
/// # Errors
/// What was wrong, without the option or key that the caller knows it by.
pub(crate) fn choose(
    default: Outer,
    name: Option<OuterName>,
    lr: Option<f64>,
    power: Option<f64>,
) -> Result<Outer, String> {
    let (own, own_lr, own_power) = match default {
        Outer::Adam { lr, .. } => (OuterName::Adam, lr, 0.0),
        Outer::Sgd { lr, power } => (OuterName::Sgd, lr, power),
        other => return Err(format!("no name for {other:?}")),
    };
    let lr = lr.unwrap_or(own_lr);
    match (name.unwrap_or(own), power) {
        (OuterName::Sgd, asked) => Outer::decaying_sgd(lr, asked.unwrap_or(own_power)),
        (OuterName::Adam, None) => Outer::adam(lr),
        (OuterName::Adam, Some(_)) => return Err("only sgd has a decaying step size".into()),
    }
    .map_err(|e| e.to_string())
}
