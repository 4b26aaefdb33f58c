//! Estimators by the name that users type: `name` or `name:setting=value,...`.

use std::sync::Arc;

use super::failure::Failure;
use super::names;
use crate::linear::{Cg, Dense, FixedPoint, Gmres, Minres, Neumann, Nystrom, Stop};
use crate::{
    Cheap, Element, Estimator, Exact, FirstOrder, Forward, ForwardGradient, FullTape, Implicit,
    Jump, LinearSolver, Probability, Reversible, Roulette, Schedule, StochasticNeumann, Terms,
    Thinned, Truncated, Ufom, optimal_probability,
};

/// An estimator as it is listed.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) name: &'static str,
    pub(crate) settings: &'static str,
    pub(crate) cost: &'static str,
    pub(crate) summary: &'static str,
}

/// Probability of `ufom` and `jump` without settings.
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
        name: "forward",
        settings: "-",
        cost: "r d HVPs, r d/4 sweeps",
        summary: "the same by forward mode, four outer directions at a time; no bias, no stored states",
    },
    Listed {
        name: "truncated",
        settings: "k=5",
        cost: "r gradients, k HVPs, k states",
        summary: "reverse mode through the last k steps; biased below k = r",
    },
    Listed {
        name: "first-order",
        settings: "-",
        cost: "r gradients, 3 states",
        summary: "second derivatives of the inner loss dropped; biased",
    },
    Listed {
        name: "reversible",
        settings: "momentum=0.9",
        cost: "2 r gradients, r HVPs, no states",
        summary: "exact for --rule heavy-ball:momentum=M, whose steps are undone bit for bit",
    },
    Listed {
        name: "ufom",
        settings: "q,d2,v2,p=1,subset,adaptive=0,paper-code=0,floor=0.05,decay=0.99,product=2,k,mixed=0",
        cost: "r gradients, r HVPs with probability q = 0.1",
        summary: "first-order, or with k or mixed=1 another cheap part, made unbiased by a coin",
    },
    Listed {
        name: "jump",
        settings: "anchors=3,degree=6,q,subset,adaptive=0,floor=0.05,decay=0.99,product=2",
        cost: "r gradients, anchors degree HVPs, exact with probability q = 0.1",
        summary: "a coarse adjoint by Chebyshev polynomials, made unbiased by a coin",
    },
    Listed {
        name: "roulette",
        settings: "survival=0.5",
        cost: "r gradients, a random number of HVPs",
        summary: "reverse mode to depth 0, 1, 2, 4, ..., or K:P,..., by chance, weighted to be unbiased",
    },
    Listed {
        name: "thinned",
        settings: "q=0.3,slots,smoothness,anchored=0",
        cost: "r gradients, q r HVPs and states",
        summary: "reverse mode that visits each step with probability q; unbiased",
    },
    Listed {
        name: "forward-gradient",
        settings: "directions=1",
        cost: "r HVPs a direction, no stored states",
        summary: "first-order, corrected along random directions by forward mode; unbiased",
    },
    Listed {
        name: "cg",
        settings: "iterations=20,tolerance=1e-12,mu,warm=0",
        cost: "r + 1 gradients, iterations + 1 HVPs",
        summary: "implicit, conjugate gradients at w_r; for a positive definite Hessian",
    },
    Listed {
        name: "minres",
        settings: "iterations=20,tolerance=1e-12,mu,warm=0",
        cost: "r + 1 gradients, iterations + 1 HVPs",
        summary: "implicit, minimum residuals; for an indefinite Hessian as well",
    },
    Listed {
        name: "gmres",
        settings: "iterations=20,tolerance=1e-12,mu,warm=0",
        cost: "r + 1 gradients, iterations + 1 HVPs, as many vectors",
        summary: "implicit, generalised minimum residuals; under every rule",
    },
    Listed {
        name: "fixed-point",
        settings: "iterations=20,tolerance=1e-12,lr,mu,warm=1",
        cost: "r + 1 gradients, iterations + 1 HVPs",
        summary: "implicit, v - lr (H v - b) from the last solution; under every rule",
    },
    Listed {
        name: "neumann",
        settings: "terms=20,lr,mu",
        cost: "r + 1 gradients, terms HVPs",
        summary: "implicit, Neumann series; under every rule",
    },
    Listed {
        name: "nystrom",
        settings: "rank=10,shift,iterations=20,tolerance=1e-12,mu,warm=0",
        cost: "r + 1 gradients, rank + iterations + 1 HVPs",
        summary: "implicit, conjugate gradients preconditioned by a random sketch",
    },
    Listed {
        name: "dense",
        settings: "mu",
        cost: "r + 1 gradients, p + 1 HVPs, p^2 values",
        summary: "implicit, the whole matrix and elimination; for few inner variables, under every rule",
    },
    Listed {
        name: "stocbio",
        settings: "terms=20,batches=1,decay=1,lr",
        cost: "r + 1 gradients, an HVP a mini-batch",
        summary: "implicit, Neumann series with fresh mini-batches in every factor",
    },
    Listed {
        name: "single-draw",
        settings: "terms=20,reuse=0,lr",
        cost: "r + 1 gradients, (terms + 1)/2 HVPs in the mean",
        summary: "implicit, one random term of that series; the same mean",
    },
    Listed {
        name: "roulette-neumann",
        settings: "survival=0.9,mu,noise=0,lr",
        cost: "r + 1 gradients, 1/(1 - survival) HVPs in the mean",
        summary: "implicit, the whole series, ended at random; unbiased for the system at w_r",
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
        "forward" => Ok(Box::new(Forward)),
        "roulette" if settings.is_some_and(|settings| settings.contains(':')) => {
            let made = Roulette::new(levels(text, settings.unwrap_or_default())?);
            let made = made.map_err(|e| Failure::usage(format!("{text}: {e}")))?;
            Ok(Box::new(made.with_schedule(schedule)))
        }
        _ => {
            let settings = Settings::read(text, settings.unwrap_or_default(), listed)?;
            match listed.name {
                "reversible" => Reversible::new(settings.real("momentum"))
                    .map(|made| Box::new(made) as Box<dyn Estimator<T>>)
                    .map_err(|e| settings.refuse(&e)),
                "truncated" => Ok(Box::new(Truncated { k: settings.count("k")? })),
                "stocbio" | "single-draw" | "roulette-neumann" => settings.stochastic(),
                "ufom" | "jump" => settings.ufom(steps, schedule),
                "roulette" => Roulette::doubling(steps, settings.real("survival"))
                    .map(|made| Box::new(made.with_schedule(schedule)) as Box<dyn Estimator<T>>)
                    .map_err(|e| settings.refuse(&e)),
                "thinned" => settings.thinned(),
                "forward-gradient" => ForwardGradient::new(settings.count("directions")?)
                    .map(|made| Box::new(made) as Box<dyn Estimator<T>>)
                    .map_err(|e| settings.refuse(&e)),
                _ => settings.implicit(),
            }
        }
    }
}

/// Settings by name: what was typed, or the default that is listed.
struct Settings<'a> {
    text: &'a str,
    name: &'static str,
    values: Vec<(&'static str, Option<f64>)>,
}

impl<'a> Settings<'a> {
    fn read(text: &'a str, given: &str, listed: &Listed) -> Result<Self, Failure> {
        let listing = listed.settings.split(',').map(|s| s.split_once('=').unwrap_or((s, "")));
        let (names, defaults): (Vec<_>, Vec<_>) = listing.unzip();
        let given = numbers(text, given, &names)?.into_iter().zip(defaults);
        let values = given.map(|(value, default)| value.or(default.parse().ok()));
        Ok(Self { text, name: listed.name, values: names.iter().copied().zip(values).collect() })
    }

    fn number(&self, name: &str) -> Option<f64> {
        self.values.iter().find(|(n, _)| *n == name).and_then(|&(_, value)| value)
    }

    /// A setting that has a default.
    fn real(&self, name: &str) -> f64 {
        self.number(name).unwrap_or(f64::NAN)
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked")]
    fn count(&self, name: &str) -> Result<usize, Failure> {
        let value = self.real(name);
        if value >= 0.0 && value <= f64::from(u32::MAX) && value.fract() == 0.0 {
            return Ok(value as usize);
        }
        let why = format!("{}: {name} is {value}, expected a whole number", self.text);
        Err(Failure::usage(why))
    }

    fn switch(&self, name: &str) -> Result<bool, Failure> {
        match self.number(name) {
            None | Some(0.0) => Ok(false),
            Some(1.0) => Ok(true),
            Some(other) => {
                Err(Failure::usage(format!("{}: {name} is {other}, expected 0 or 1", self.text)))
            }
        }
    }

    fn refuse(&self, error: &crate::Error) -> Failure {
        Failure::usage(format!("{}: {error}", self.text))
    }

    fn implicit<T: Element>(&self) -> Result<Box<dyn Estimator<T>>, Failure> {
        let stop = || {
            let (iterations, tolerance) = (self.count("iterations")?, self.real("tolerance"));
            Ok::<_, Failure>(Stop { iterations, tolerance })
        };
        let lr = self.number("lr");
        let solver: Arc<dyn LinearSolver<T>> = match self.name {
            "cg" => Arc::new(Cg { stop: stop()? }),
            "minres" => Arc::new(Minres { stop: stop()? }),
            "gmres" => Arc::new(Gmres { stop: stop()? }),
            "fixed-point" => Arc::new(FixedPoint { stop: stop()?, lr }),
            "neumann" => Arc::new(Neumann { terms: self.count("terms")?, lr }),
            "nystrom" => {
                let (rank, shift) = (self.count("rank")?, self.number("shift"));
                Arc::new(Nystrom { stop: stop()?, rank, shift })
            }
            "dense" => Arc::new(Dense),
            other => {
                return Err(Failure::usage(format!("estimator '{other}' is listed but not made")));
            }
        };
        let mut made = Implicit::new(solver).map_err(|e| self.refuse(&e))?;
        if let Some(mu) = self.number("mu") {
            made = made.strongly_convex(mu).map_err(|e| self.refuse(&e))?;
        }
        Ok(Box::new(if self.switch("warm")? { made.warm() } else { made }))
    }

    fn stochastic<T: Element>(&self) -> Result<Box<dyn Estimator<T>>, Failure> {
        let real = |name| self.real(name);
        let terms = match self.name {
            "stocbio" => {
                let (batches, decay) = (real("batches"), real("decay"));
                Terms::StocBio { terms: self.count("terms")?, batches, decay }
            }
            "single-draw" => Terms::Single { terms: self.count("terms")? },
            _ => {
                let (survival, mu) = (real("survival"), self.number("mu"));
                Terms::Roulette { survival, mu, noise: real("noise") }
            }
        };
        let made = StochasticNeumann::new(terms, self.number("lr")).map_err(|e| self.refuse(&e))?;
        Ok(Box::new(if self.switch("reuse")? { made.reusing() } else { made }))
    }

    fn thinned<T: Element>(&self) -> Result<Box<dyn Estimator<T>>, Failure> {
        let refuse = |e| self.refuse(&e);
        let mut made = Thinned::new(self.real("q")).map_err(refuse)?;
        if self.number("slots").is_some() {
            made = made.with_slots(self.count("slots")?).map_err(refuse)?;
        }
        if let Some(smoothness) = self.number("smoothness") {
            made = made.smooth(smoothness).map_err(refuse)?;
        }
        Ok(Box::new(if self.switch("anchored")? { made.anchored() } else { made }))
    }

    /// The optimal `q` for `d2` and `v2` is that of costs `r + 1` always and `r` on a hit.
    fn ufom<T: Element>(
        &self,
        steps: usize,
        schedule: Schedule,
    ) -> Result<Box<dyn Estimator<T>>, Failure> {
        let refuse = |e| self.refuse(&e);
        let learned = || (self.real("floor"), self.real("decay"));
        let moments = (self.number("d2"), self.number("v2"));
        let mut asked = Vec::new();
        asked.extend(self.number("q").map(Probability::Fixed));
        if self.number("subset").is_some() {
            asked.push(Probability::Subset(self.count("subset")?));
        }
        if self.switch("adaptive")? {
            let (floor, decay) = learned();
            asked.push(Probability::Adaptive { floor, decay });
        }
        if self.switch("paper-code")? {
            let (floor, decay) = learned();
            asked.push(Probability::PaperCode { floor, decay });
        }
        if let (Some(d2), Some(v2)) = moments {
            let (p, steps) = (self.real("p"), steps as f64);
            if ![0.5, 1.0, 2.0].contains(&p) {
                let why = format!("{}: p is {p}, expected 0.5, 1 or 2", self.text);
                return Err(Failure::usage(why));
            }
            if !(d2 > 0.0 && v2 > 0.0 && d2.is_finite() && v2.is_finite()) {
                return Err(Failure::usage(format!("{}: expected d2 and v2 above 0", self.text)));
            }
            asked.push(Probability::Fixed(optimal_probability(d2, v2, steps + 1.0, steps, p)));
        }
        if asked.len() > 1 || moments.0.is_some() != moments.1.is_some() {
            return Err(Failure::usage(format!(
                "{}: expected one of q, subset, adaptive, paper-code, or d2 with v2",
                self.text
            )));
        }
        let probability = asked.pop().unwrap_or(Probability::Fixed(DEFAULT_Q));
        let cheap = match (self.name, self.number("k"), self.switch("mixed")?) {
            ("jump", ..) => {
                Cheap::Jump(Jump { anchors: self.count("anchors")?, degree: self.count("degree")? })
            }
            (_, Some(_), false) => Cheap::Truncated { k: self.count("k")? },
            (_, None, true) => Cheap::Mixed,
            (_, None, false) => Cheap::FirstOrder,
            _ => return Err(Failure::usage(format!("{}: expected k or mixed", self.text))),
        };
        let made = Ufom::with(probability).and_then(|made| made.with_cheap(cheap));
        let made = made.map_err(refuse)?.with_product(self.real("product"));
        Ok(Box::new(made.with_schedule(schedule)))
    }
}

/// Depths and probabilities, `depth:probability,...`.
fn levels(text: &str, settings: &str) -> Result<Vec<(usize, f64)>, Failure> {
    let level = |level: &str| {
        let (depth, p) = level.split_once(':')?;
        Some((depth.parse().ok()?, p.parse().ok()?))
    };
    let found = settings.split(',').map(level).collect::<Option<_>>();
    found.ok_or_else(|| Failure::usage(format!("{text}: expected depth:probability,...")))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Class::{self, Biased, Exact, Unbiased};
    use crate::contract::Truth::{Limit, Unrolled};
    use crate::contract::{Contract, hold};

    /// Its name with settings, and the class that they make it.
    const CLASSES: &[(&str, Class)] = &[
        ("exact", Exact(Unrolled)),
        ("full-tape", Exact(Unrolled)),
        ("forward", Exact(Unrolled)),
        ("truncated:k=3", Biased(Unrolled, 0.2)),
        ("truncated:k=6", Exact(Unrolled)),
        ("first-order", Biased(Unrolled, 0.5)),
        ("reversible:momentum=0.5", Exact(Unrolled)),
        ("ufom:q=0.3", Unbiased(Unrolled)),
        ("jump:q=0.3", Unbiased(Unrolled)),
        ("roulette:survival=0.7", Unbiased(Unrolled)),
        ("thinned:q=0.6", Unbiased(Unrolled)),
        ("forward-gradient:directions=2", Unbiased(Unrolled)),
        ("cg", Exact(Limit)),
        ("minres", Exact(Limit)),
        ("gmres", Exact(Limit)),
        ("fixed-point:iterations=200", Exact(Limit)),
        ("neumann:terms=200", Exact(Limit)),
        ("neumann:terms=5", Biased(Limit, 0.2)),
        ("nystrom:rank=2", Exact(Limit)),
        ("dense", Exact(Limit)),
        ("stocbio:terms=200", Exact(Limit)),
        ("single-draw:terms=100", Unbiased(Limit)),
        ("roulette-neumann:survival=0.9", Unbiased(Limit)),
    ];

    #[test]
    fn every_listed_estimator_keeps_what_it_promises() {
        let name = |text: &str| text.split(':').next().unwrap().to_owned();
        let classed: Vec<_> = CLASSES.iter().map(|(text, _)| name(text)).collect();
        for listed in ALL {
            assert!(classed.iter().any(|n| n == listed.name), "{} has no class", listed.name);
        }
        for &(text, class) in CLASSES {
            let contract = Contract {
                momentum: if name(text) == "reversible" { 0.5 } else { 0.0 },
                ..Contract::new(class)
            };
            let make = || {
                let made =
                    parse(text, contract.steps, Schedule::StoreAll { keep: crate::Keep::States });
                Ok(made.unwrap_or_else(|e| panic!("{text}: {e:?}")))
            };
            if let Err(broken) = hold(&contract, &make) {
                panic!("{text} as {class:?}: {broken}");
            }
        }
    }
}
