//! Estimators by the name that users type: `name` or `name:setting=value,...`.

use super::failure::Failure;
use super::names;
use crate::{Element, Estimator, Exact, FirstOrder, FullTape, Schedule, Ufom, optimal_probability};

/// An estimator as it is listed.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) name: &'static str,
    pub(crate) settings: &'static str,
    pub(crate) cost: &'static str,
    pub(crate) summary: &'static str,
}

/// Probability of `ufom` without settings.
const DEFAULT_Q: f64 = 0.1;

/// All estimators.
pub(crate) const ALL: &[Listed] = &[
    Listed {
        name: "exact",
        settings: "-",
        cost: "r gradients, r HVPs, r + 3 states",
        summary: "gradient of the unrolled inner loop, from what --schedule stores; no bias",
    },
    Listed {
        name: "full-tape",
        settings: "-",
        cost: "one recorded run",
        summary: "the same by one tape over the whole run; no bias, memory of every intermediate",
    },
    Listed {
        name: "first-order",
        settings: "-",
        cost: "r gradients, 3 states",
        summary: "second derivatives of the inner loss dropped; biased",
    },
    Listed {
        name: "ufom",
        settings: "q=0.1, or d2,v2,p",
        cost: "r gradients, r HVPs with probability q",
        summary: "first-order, made unbiased by an exact gradient on the toss of a coin",
    },
];

/// The estimator that `text` names, for an inner loop of `steps` steps; `exact` stores what `schedule` says.
///
/// # Errors
/// A usage error that names the estimator or the setting.
pub(crate) fn parse<T: Element>(
    text: &str,
    steps: usize,
    schedule: Schedule,
) -> Result<Box<dyn Estimator<T>>, Failure> {
    let (name, settings) = text.split_once(':').map_or((text, None), |(n, s)| (n, Some(s)));
    let listed = names::find("estimator", name, ALL, |e| e.name)?;
    if let (Some(settings), "-") = (settings, listed.settings) {
        return Err(Failure::usage(format!(
            "estimator '{}' takes no settings, found '{settings}'",
            listed.name
        )));
    }
    match listed.name {
        "exact" => Ok(Box::new(Exact::new(schedule))),
        "full-tape" => Ok(Box::new(FullTape)),
        "first-order" => Ok(Box::new(FirstOrder)),
        "ufom" => ufom(text, settings.unwrap_or_default(), steps, schedule),
        other => Err(Failure::usage(format!("estimator '{other}' is listed but not made"))),
    }
}

/// `q=0.1`, or the optimal `q` for `d2=..,v2=..,p=..` at costs `r + 1` always and `r` on a hit.
fn ufom<T: Element>(
    text: &str,
    settings: &str,
    steps: usize,
    schedule: Schedule,
) -> Result<Box<dyn Estimator<T>>, Failure> {
    let given = numbers(text, settings, &["q", "d2", "v2", "p"])?;
    let q = match given[..] {
        [None, None, None, None] => DEFAULT_Q,
        [Some(q), None, None, None] => q,
        [None, Some(d2), Some(v2), p] => {
            let p = p.unwrap_or(1.0);
            if ![0.5, 1.0, 2.0].contains(&p) {
                return Err(Failure::usage(format!("{text}: p is {p}, expected 0.5, 1 or 2")));
            }
            if !(d2 > 0.0 && v2 > 0.0 && d2.is_finite() && v2.is_finite()) {
                return Err(Failure::usage(format!("{text}: expected d2 and v2 above 0")));
            }
            let steps = steps as f64;
            optimal_probability(d2, v2, steps + 1.0, steps, p)
        }
        _ => {
            return Err(Failure::usage(format!(
                "{text}: expected ufom:q=PROBABILITY or ufom:d2=NUMBER,v2=NUMBER,p=0.5|1|2"
            )));
        }
    };
    let ufom = Ufom::new(q).map_err(|e| Failure::usage(format!("{text}: {e}")))?;
    Ok(Box::new(ufom.with_schedule(schedule)))
}

/// The values of `name=number,...`, in the order of `names`.
pub(crate) fn numbers(
    text: &str,
    settings: &str,
    names: &[&str],
) -> Result<Vec<Option<f64>>, Failure> {
    let mut values = vec![None; names.len()];
    for setting in settings.split(',').filter(|s| !s.is_empty()) {
        let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
        let Some(place) = names.iter().position(|n| *n == name) else {
            let expected = names.join(", ");
            let why = format!("{text}: unknown setting '{name}', expected {expected}");
            return Err(Failure::usage(why));
        };
        let Ok(number) = value.parse() else {
            let why = format!("{text}: {name} is '{value}', expected a number");
            return Err(Failure::usage(why));
        };
        values[place] = Some(number);
    }
    Ok(values)
}
