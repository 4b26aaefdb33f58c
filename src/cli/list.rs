//! `hypertape problems` and `hypertape estimators`.

use std::io::Write;

use super::estimators;
use super::failure::{Failure, say};
use super::table::{Align, Table};
use crate::Outer;
use crate::problems::Entry;

/// One line a problem.
pub(crate) fn problems(catalogue: &[Entry], out: &mut dyn Write) -> Result<(), Failure> {
    let mut table = Table::new(&[
        ("problem", Align::Left),
        ("steps", Align::Right),
        ("lr", Align::Right),
        ("outer", Align::Left),
        ("iterations", Align::Right),
        ("data seed", Align::Right),
        ("what it is", Align::Left),
    ]);
    for entry in catalogue {
        table.push([
            entry.name.to_owned(),
            entry.steps.to_string(),
            entry.lr.to_string(),
            outer_text(entry.outer),
            entry.iterations.to_string(),
            entry.data_seed.map_or_else(|| "-".into(), |s| s.to_string()),
            entry.summary.to_owned(),
        ]);
    }
    say(out, table)
}

/// One line an estimator.
pub(crate) fn estimators(out: &mut dyn Write) -> Result<(), Failure> {
    let columns = ["estimator", "settings", "cost for r steps", "what it is"];
    let mut table = Table::new(&columns.map(|c| (c, Align::Left)));
    for e in estimators::ALL {
        table.push([e.name, e.settings, e.cost, e.summary]);
    }
    say(out, table)
}

/// An outer optimiser as it is typed.
pub(crate) fn outer_text(outer: Outer) -> String {
    match outer {
        Outer::Sgd { lr, power: 0.0 } => format!("sgd {lr}"),
        Outer::Sgd { lr, power } => format!("sgd {lr}/k^{power}"),
        Outer::Momentum { lr, momentum } => format!("momentum {lr}, {momentum}"),
        Outer::Adam { lr, .. } => format!("adam {lr}"),
        _ => "other".into(),
    }
}
