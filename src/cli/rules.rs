//! Inner rules by the name that users type: `name` or `name:setting=value,...`.

use super::estimators::numbers;
use super::failure::Failure;
use super::names;
use crate::{Adam, Element, GradientDescent, Ista, Momentum, Oracle, Projected, RmsProp};

/// Names, with the settings of each.
const ALL: &[(&str, &[&str])] = &[
    ("gradient-descent", &["outer", "sizes"]),
    ("heavy-ball", &["momentum"]),
    ("nesterov", &["momentum"]),
    ("adam", &["b1", "b2", "eps", "decay"]),
    ("rmsprop", &["b2", "eps"]),
    ("ista", &["l1", "outer"]),
    ("projected", &["lower", "upper"]),
];

/// Has `oracle` take its inner steps by the rule that `text` names.
///
/// # Errors
/// A usage error that names the rule or the setting.
pub(crate) fn set<T: Element>(oracle: &mut Oracle<T>, text: &str) -> Result<(), Failure> {
    let (name, settings) = text.split_once(':').unwrap_or((text, ""));
    let (name, known) = names::find("rule", name, ALL, |(name, _)| name)?;
    let given = numbers(text, settings, known)?;
    let or = |i: usize, default: f64| given[i].unwrap_or(default);
    // The place of an outer variable, if it was given, if it is one.
    let place = |i: usize| given[i].map(|place| (0..64_u8).find(|&k| f64::from(k) == place));
    let expected = |what| Failure::usage(format!("--rule {text}: expected {what}"));
    let result = match *name {
        "heavy-ball" => Momentum::heavy_ball(or(0, 0.9)).map(|rule| oracle.set_rule(rule)),
        "nesterov" => Momentum::nesterov(or(0, 0.9)).map(|rule| oracle.set_rule(rule)),
        "adam" => Adam::new(or(0, 0.9), or(1, 0.999), or(2, 1e-8))
            .and_then(|rule| given[3].map_or(Ok(rule), |decay| rule.with_decay(decay)))
            .map(|rule| oracle.set_rule(rule)),
        "rmsprop" => RmsProp::new(or(0, 0.99), or(1, 1e-8)).map(|rule| oracle.set_rule(rule)),
        "ista" => match (given[0], place(1)) {
            (Some(l1), None) => Ista::new(l1).map(|rule| oracle.set_rule(rule)),
            (None, Some(Some(k))) => {
                oracle.set_rule(Ista::learned(k.into()));
                Ok(())
            }
            _ => return Err(expected("ista:l1=WEIGHT, or ista:outer=PLACE of an outer variable")),
        },
        "projected" => Projected::new(or(0, f64::NEG_INFINITY), or(1, f64::INFINITY))
            .map(|rule| oracle.set_rule(rule)),
        _ => {
            oracle.set_rule(match (place(0), place(1)) {
                (None, None) => GradientDescent::default(),
                (Some(Some(k)), None) => GradientDescent::learned(k.into()),
                (None, Some(Some(k))) => GradientDescent::sized(k.into()),
                _ => {
                    let places = "gradient-descent:outer=PLACE of an outer variable, or \
                                  gradient-descent:sizes=PLACE of the first of some";
                    return Err(expected(places));
                }
            });
            Ok(())
        }
    };
    result.map_err(|e| Failure::usage(format!("--rule {text}: {e}")))
}
