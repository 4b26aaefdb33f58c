//! The outer optimiser of a command: the problem's, with what was asked for in its place; what a coupling brings.

use super::args::{CouplingName, Run as Options};
use super::failure::Failure;
use crate::problems::Entry;
use crate::{Coupling, Outer, Spelled};

/// The name of a choice, and its settings as they are typed.
fn parts(text: &str) -> (&str, Vec<&str>) {
    let (name, settings) = text.split_once(':').unwrap_or((text, ""));
    (name, settings.split(',').filter(|setting| !setting.is_empty()).collect())
}

/// The name of a setting as it is typed.
fn name_of(setting: &str) -> &str {
    setting.split('=').next().unwrap_or_default()
}

/// `default` with another optimiser and what was asked for by options of their own, a name and a value each. The step size stays
/// where only the optimiser is replaced, so that one setting changes one thing.
fn choose(
    default: Outer,
    asked: Option<&str>,
    options: [(&str, Option<f64>); 3],
) -> Result<Outer, Failure> {
    let default = default.text();
    let (own, kept) = parts(&default);
    let (name, typed) = parts(asked.unwrap_or(own));
    let spellings = Outer::spellings();
    let line = spellings.find(name).map_err(|e| Failure::usage(format!("--outer: {e}")))?;
    let known = line.settings();
    let mut settings: Vec<String> = typed.iter().map(|&setting| setting.to_owned()).collect();
    for (setting, value) in options {
        let Some(value) = value else { continue };
        if !known.iter().any(|s| s.name == setting) {
            return Err(Failure::usage(format!("--outer-{setting}: {name} has no {setting}")));
        }
        settings.push(format!("{setting}={value:?}"));
    }
    for setting in kept.into_iter().filter(|s| name == own || name_of(s) == "lr") {
        if !settings.iter().any(|other| name_of(other) == name_of(setting)) {
            settings.push(setting.to_owned());
        }
    }
    let made = spellings.parse(&format!("{name}:{}", settings.join(",")));
    made.map_err(|e| Failure::usage(format!("--outer: {e}")))
}

/// An outer optimiser by the options of a command: text, and step size, power and momentum, which have options of their own.
pub(crate) fn options_of(outer: Outer) -> (String, [Option<f64>; 3]) {
    let (text, numbers) = (
        outer.text(),
        match outer {
            Outer::Sgd { lr, power } => [Some(lr), Some(power), None],
            Outer::Momentum { lr, momentum } => [Some(lr), None, Some(momentum)],
            Outer::Adam { lr, .. } => [Some(lr), None, None],
            _ => [None; 3],
        },
    );
    let (name, settings) = parts(&text);
    let own = ["lr", "power", "momentum"];
    let others = settings.into_iter().filter(|s| !own.contains(&name_of(s))).collect::<Vec<_>>();
    let text = [name, &others.join(",")].join(":");
    (text.trim_end_matches(':').to_owned(), numbers)
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
    let asked = options.outer.as_deref().or(power.map(|_| "sgd"));
    // Where a power was not typed, that of the coupling.
    let brings = asked.is_some_and(|asked| parts(asked).0 == "sgd" && !asked.contains("power="));
    let options = [
        ("lr", options.outer_lr),
        ("power", options.outer_power.or(power.filter(|_| brings))),
        ("momentum", options.outer_momentum),
    ];
    let outer = choose(entry.outer, asked, options)?;
    Ok((coupling, named, outer))
}
