//! The outer optimiser of a command: the problem's, with what was asked for in its place; what a coupling brings.

use super::args::{CouplingName, OuterName, Run as Options};
use super::failure::Failure;
use crate::problems::Entry;
use crate::{Coupling, Outer};

/// `default` with another optimiser, step size, decay or momentum. The step size stays where only the optimiser is replaced, so
/// that one setting changes one thing.
///
/// # Errors
/// What was wrong, without the option or key that the caller knows it by.
pub(crate) fn choose(
    default: Outer,
    name: Option<OuterName>,
    lr: Option<f64>,
    power: Option<f64>,
    momentum: Option<f64>,
) -> Result<Outer, String> {
    let (own, own_lr, own_power) = match default {
        Outer::Adam { lr, .. } => (OuterName::Adam, lr, 0.0),
        Outer::Momentum { lr, .. } => (OuterName::Momentum, lr, 0.0),
        Outer::Sgd { lr, power } => (OuterName::Sgd, lr, power),
        other => return Err(format!("no name for {other:?}")),
    };
    let lr = lr.unwrap_or(own_lr);
    match (name.unwrap_or(own), power, momentum) {
        (OuterName::Sgd, asked, None) => Outer::decaying_sgd(lr, asked.unwrap_or(own_power)),
        (OuterName::Momentum, None, asked) => Outer::momentum(lr, asked.unwrap_or(0.9)),
        (OuterName::Adam, None, None) => Outer::adam(lr),
        (_, Some(_), _) => return Err("only sgd has a decaying step size".into()),
        (_, None, Some(_)) => return Err("found a momentum, expected --outer momentum".into()),
    }
    .map_err(|e| e.to_string())
}

/// The coupling that was asked for, and with it the estimator and the outer optimiser: what was asked for, or what the
/// coupling brings.
pub(crate) fn algorithm(
    entry: &Entry,
    options: &Options,
) -> Result<(Coupling, String, Outer), Failure> {
    let (coupling, power) = match options.coupling {
        CouplingName::Cold => (Coupling::Cold, None),
        CouplingName::Warm => (Coupling::Warm, None),
        CouplingName::Ttsa => (Coupling::Ttsa, Some(0.6)),
        CouplingName::Bsa => (Coupling::Bsa, Some(0.5)),
    };
    let lr = options.common.lr.unwrap_or(entry.lr);
    let named = options.estimator.clone().unwrap_or_else(|| match coupling {
        Coupling::Ttsa => format!("single-draw:terms=10,reuse=1,lr={lr:?}"),
        Coupling::Bsa => format!("single-draw:terms=10,lr={lr:?}"),
        _ => "exact".into(),
    });
    let asked = options.outer.or(power.map(|_| OuterName::Sgd));
    let power = options.outer_power.or(power.filter(|_| asked == Some(OuterName::Sgd)));
    let outer = choose(entry.outer, asked, options.outer_lr, power, options.outer_momentum)
        .map_err(|why| {
            let option = options.outer_momentum.map_or("--outer-power", |_| "--outer-momentum");
            Failure::usage(format!("{option}: {why}"))
        })?;
    Ok((coupling, named, outer))
}
