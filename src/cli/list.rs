//! `hypertape problems` and `hypertape estimators`.

use std::io::Write;

use super::estimators;
use super::failure::{Failure, say};
use super::table::{Align, Table};
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
            entry.outer.to_string(),
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
