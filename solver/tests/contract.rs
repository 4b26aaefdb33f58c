//! Estimators that break a promise, each in its own way, fail the corresponding check, which reports the numbers.

use hypertape_solver::contract::{Broken, Class, Contract, Truth, hold};
use hypertape_solver::{Check, Error, Estimator, Named, Oracle, Params, Rollout, Task, Truncated};

/// The flaw of an otherwise exact estimator.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Flaw {
    None,
    /// The gradient is too large by 1e-9.
    Scaled,
    /// The gradient is too large by 1 % on average, depending on a coin.
    Drawn,
    /// The gradient depends on earlier calls, and the state does not show it.
    Hidden,
    /// The gradient depends on the number of calls, which the state contains but which is not restored.
    State,
    /// The loss is that of another point.
    Loss,
    /// More memory than in a rehearsal, or less.
    Above,
    Below,
    /// A vector is not given back.
    Left,
    /// One product more than necessary.
    Products,
    /// The estimator returns an error.
    Refuses,
}

#[derive(Debug)]
struct Flawed {
    flaw: Flaw,
    calls: f64,
}

impl Named for Flawed {
    fn name(&self) -> String {
        format!("{:?}", self.flaw)
    }
}

impl Estimator<f64> for Flawed {
    fn state(&self) -> Params<f64> {
        if self.flaw != Flaw::State {
            return Params::new();
        }
        Params::new().with("calls", hypertape_autodiff::Shape::SCALAR, [self.calls])
    }

    fn set_state(&mut self, _: &Params<f64>) -> Result<(), Error> {
        Ok(())
    }

    fn learn(&mut self) {
        self.calls += 1.0;
    }

    fn task(
        &self,
        oracle: &mut Oracle<f64>,
        at: Task<f64>,
        gradient: &mut [f64],
    ) -> Result<f64, Error> {
        let mut factor = 1.0;
        let mut extra = None;
        match self.flaw {
            Flaw::Scaled => factor += 1e-9,
            Flaw::Drawn => factor += if at.draw.iteration.is_multiple_of(2) { 0.12 } else { -0.1 },
            Flaw::Hidden | Flaw::State => factor += 1e-15 * self.calls,
            Flaw::Above if !oracle.rehearses() => extra = Some(oracle.take(3)?),
            Flaw::Below if oracle.rehearses() => extra = Some(oracle.take(3)?),
            Flaw::Left => drop(oracle.take(1)?),
            Flaw::Refuses => return Err(Error::ImplicitVanishes),
            _ => {}
        }
        let (mut run, mut state) = Rollout::start(oracle, at)?;
        let (loss, bar) = run.reverse_under("store-all".parse()?, &mut state, gradient, None)?;
        run.pull_start(&bar, gradient)?;
        if self.flaw == Flaw::Products && at.inner.steps() > 6 {
            run.products(0, (&state, &bar), None)?;
        }
        run.close([bar, state]);
        if let Some(vector) = extra {
            oracle.give(vector);
        }
        for g in gradient.iter_mut() {
            *g *= factor;
        }
        Ok(if self.flaw == Flaw::Loss { loss + 1e-8 } else { loss })
    }
}

fn held(class: Class, flaw: Flaw) -> Result<Vec<Check>, Broken> {
    let counts: fn(u64, u64, u64) -> [u64; 5] = |r, _, _| [r, r, r, r, 1];
    let contract = Contract { counts: Some(counts), draws: 400, ..Contract::new(class) };
    hold(&contract, &|| Ok(Box::new(Flawed { flaw, calls: 0.0 })))
}

/// Names of the checks that failed.
fn failed(class: Class, flaw: Flaw) -> Vec<&'static str> {
    match held(class, flaw) {
        Ok(_) => Vec::new(),
        Err(Broken::Failed { checks, .. }) => checks.iter().map(|check| check.name).collect(),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn each_broken_promise_fails_its_check_alone() {
    let exact = Class::Exact(Truth::Unrolled);
    for (flaw, known) in [
        (Flaw::None, &[][..]),
        (Flaw::Scaled, &["gradient"]),
        (Flaw::Hidden, &["resumed"]),
        (Flaw::State, &["resumed"]),
        (Flaw::Loss, &["loss"]),
        (Flaw::Above, &["bytes above"]),
        (Flaw::Below, &["bytes below"]),
        (Flaw::Left, &["bytes above", "bytes left"]),
        (Flaw::Products, &["counts"]),
    ] {
        let found = failed(exact, flaw);
        assert!(known.iter().all(|name| found.contains(name)), "{flaw:?}: {found:?}");
        assert!(found.len() <= known.len(), "{flaw:?}: {found:?}");
    }
    let refused = held(exact, Flaw::Refuses).unwrap_err();
    assert!(matches!(refused, Broken::Refused { error: Error::ImplicitVanishes, .. }), "{refused}");
}

#[test]
fn a_small_bias_is_seen_and_stated() {
    // The mean of `Drawn` is off by a hundredth, with single estimates off by a tenth up or down.
    assert_eq!(failed(Class::Unbiased(Truth::Unrolled), Flaw::None), [""; 0]);
    let broken = held(Class::Unbiased(Truth::Unrolled), Flaw::Scaled).unwrap_err().to_string();
    assert!(broken.starts_with("Scaled: mean: found"), "{broken}");
    // The bias of 0.01 |g|, in standard errors of 0.11/20, is 1.8 at 400 draws, which is no failure, and 5.7 at 4000.
    assert_eq!(failed(Class::Unbiased(Truth::Unrolled), Flaw::Drawn), [""; 0]);
    let make = || Ok(Box::new(Flawed { flaw: Flaw::Drawn, calls: 0.0 }) as Box<dyn Estimator<f64>>);
    let more = Contract::new(Class::Unbiased(Truth::Unrolled));
    let broken = hold(&more, &make).unwrap_err().to_string();
    assert!(broken.starts_with("Drawn: mean: found 5.7"), "{broken}");
}

#[test]
fn bounds_are_neither_too_small_nor_idle() {
    let truncated = || Ok(Box::new(Truncated { k: 3 }) as Box<dyn Estimator<f64>>);
    let hold = |most| {
        let class = Class::Biased(Truth::Unrolled, most);
        hold(&Contract { draws: 2, ..Contract::new(class) }, &truncated)
    };
    let checks = hold(0.5).unwrap();
    let off = checks.iter().find(|check| check.name == "gradient").unwrap().observed;
    for (most, name) in
        [(off * 0.99, Some("gradient")), (off * 1.01, None), (off * 11.0, Some("bound"))]
    {
        match hold(most) {
            Ok(_) => assert_eq!(name, None),
            Err(Broken::Failed { checks, .. }) => assert_eq!(Some(checks[0].name), name),
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn few_draws_of_much_chance_decide_nothing() {
    let make = || {
        let made = hypertape_solver::Ufom::new(0.05)?;
        Ok(Box::new(made) as Box<dyn Estimator<f64>>)
    };
    let contract = Contract { draws: 20, ..Contract::new(Class::Unbiased(Truth::Unrolled)) };
    let broken = hold(&contract, &make).unwrap_err().to_string();
    assert!(broken.contains("resolution: found"), "{broken}");
}
