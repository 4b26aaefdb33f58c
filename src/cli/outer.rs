//! The outer optimiser of a command: the problem's, with what was asked for in its place; what a coupling brings.

use std::sync::Arc;

use super::args::{CouplingName, OuterName, Run as Options};
use super::failure::Failure;
use crate::Optimiser;
use crate::coupling::{Bsa, Cold, Coupling, Ttsa, Warm};
use crate::problems::Entry;

/// `default` with another optimiser, step size, decay or momentum. The step size stays where only the optimiser is replaced, so
/// that one setting changes one thing.
///
/// # Errors
/// What was wrong, without the option or key that the caller knows it by.
pub(crate) fn choose(
    default: Optimiser,
    name: Option<OuterName>,
    lr: Option<f64>,
    power: Option<f64>,
    momentum: Option<f64>,
) -> Result<Optimiser, String> {
    let (own, own_lr, own_power) = match default {
        Optimiser::Adam { lr, .. } => (OuterName::Adam, lr, 0.0),
        Optimiser::Momentum { lr, .. } => (OuterName::Momentum, lr, 0.0),
        Optimiser::Sgd { lr, power } => (OuterName::Sgd, lr, power),
        other => return Err(format!("no name for {other:?}")),
    };
    let lr = lr.unwrap_or(own_lr);
    match (name.unwrap_or(own), power, momentum) {
        (OuterName::Sgd, asked, None) => Optimiser::decaying_sgd(lr, asked.unwrap_or(own_power)),
        (OuterName::Momentum, None, asked) => Optimiser::momentum(lr, asked.unwrap_or(0.9)),
        (OuterName::Adam, None, None) => Optimiser::adam(lr),
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
) -> Result<(Arc<dyn Coupling>, String, Optimiser), Failure> {
    let lr = options.common.lr.unwrap_or(entry.lr);
    let (coupling, power, brings): (Arc<dyn Coupling>, _, _) = match options.coupling {
        CouplingName::Cold => (Arc::new(Cold), None, "exact".into()),
        CouplingName::Warm => (Arc::new(Warm), None, "exact".into()),
        CouplingName::Ttsa => {
            (Arc::new(Ttsa), Some(0.6), format!("single-draw:terms=10,reuse=1,lr={lr:?}"))
        }
        CouplingName::Bsa => (Arc::new(Bsa), Some(0.5), format!("single-draw:terms=10,lr={lr:?}")),
    };
    let named = options.estimator.clone().unwrap_or(brings);
    let asked = options.outer.or(power.map(|_| OuterName::Sgd));
    let power = options.outer_power.or(power.filter(|_| asked == Some(OuterName::Sgd)));
    let outer = choose(entry.outer, asked, options.outer_lr, power, options.outer_momentum)
        .map_err(|why| {
            let option = options.outer_momentum.map_or("--outer-power", |_| "--outer-momentum");
            Failure::usage(format!("{option}: {why}"))
        })?;
    Ok((coupling, named, outer))
}
