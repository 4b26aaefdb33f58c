//! Everything that is chosen by name: parsed, printed, listed and refused.

use std::collections::HashSet;

use hypertape_solver::{
    AnyRule, Described, Error, Estimator, GradientDescent, Registry, Reversible, Roulette,
    Schedule, Spelled, Spelling, Spellings, Ufom,
};

/// Values of which some are in range for every numeric setting, and some are out of range for most.
const VALUES: [&str; 9] = ["0", "1", "2", "7", "0.5", "0.25", "0.9", "1e-12", "-1"];
/// The same for settings that are words or levels.
const WORDS: [&str; 3] = ["states", "tapes", "0:1,5:0.25"];

/// `name=value`, or only the value for a setting that is given without its name.
fn typed(setting: &Described, value: &str) -> String {
    if setting.name.contains(':') { value.into() } else { format!("{}={value}", setting.name) }
}

/// Checks every line of a table; `print` is the inverse of parsing.
fn check<M>(table: &Spellings<M>, print: impl Fn(M, String) -> String) {
    let (kind, mut names) = (table.kind(), HashSet::new());
    let parse = |text: &str| table.parse_with_text(text).map(|(made, text)| print(made, text));
    for line in table.lines() {
        let (about, settings) = (line.about(), line.settings());
        assert!(names.insert(about.name), "{kind} {} is there twice", about.name);
        assert!(!about.summary.is_empty(), "{kind} {}", about.name);
        let help = settings.iter().all(|s| !s.help.is_empty() && !s.expected.is_empty());
        assert!(help, "{kind} {}: {settings:?}", about.name);

        // The listing can be typed: examples of required settings, defaults of optional ones.
        let examples = settings.iter().filter(|s| s.needed && s.value.is_some());
        let examples: Vec<_> = examples.map(|s| typed(s, s.value.as_deref().unwrap())).collect();
        let least = [about.name.to_owned(), examples.join(",")].join(":");
        let least = least.trim_end_matches(':');
        let plain = parse(least).unwrap_or_else(|e| panic!("{least}: {e}"));
        assert_eq!(parse(&plain), Ok(plain.clone()), "{least}");
        let mut known = settings.iter().filter(|s| !s.needed && s.value.is_some());
        assert!(
            known.all(|s| parse(&join(least, &typed(s, s.value.as_deref().unwrap()))).as_ref()
                == Ok(&plain))
        );

        // Each setting with each value, and each pair of them: the printed text parses to the same.
        let mut accepted = vec![0; settings.len()];
        let values = || VALUES.into_iter().chain(WORDS);
        for (i, first) in settings.iter().enumerate() {
            for a in values() {
                let one = join(without(least, first).as_str(), &typed(first, a));
                for (j, second) in settings.iter().enumerate().filter(|&(j, _)| j != i) {
                    for b in values() {
                        let two = join(&without(&one, second), &typed(second, b));
                        accepted[j] += usize::from(goes_round(&two, &parse));
                    }
                }
                // Also alone, because some settings exclude all others.
                let alone = join(about.name, &typed(first, a));
                accepted[i] +=
                    usize::from(goes_round(&one, &parse)) + usize::from(goes_round(&alone, &parse));
            }
        }
        assert!(accepted.iter().all(|&n| n > 0), "{}: {accepted:?} {settings:?}", about.name);
    }
}

/// The text with one more setting.
fn join(text: &str, more: &str) -> String {
    format!("{text}{}{more}", if text.contains(':') { ',' } else { ':' })
}

/// The text without a given setting.
fn without(text: &str, setting: &Described) -> String {
    let (name, settings) = text.split_once(':').unwrap_or((text, ""));
    let begins = format!("{}=", setting.name);
    let others = settings.split(',').filter(|s| !s.is_empty() && !s.starts_with(&begins));
    others.fold(name.to_owned(), |text, other| join(&text, other))
}

/// Whether a text can be parsed; if so, checks that it is printed and parsed to the same.
fn goes_round(text: &str, parse: &impl Fn(&str) -> Result<String, Error>) -> bool {
    let Ok(printed) = parse(text) else { return false };
    assert_eq!(parse(&printed), Ok(printed.clone()), "{text}");
    true
}

#[test]
fn what_is_read_is_printed_and_read_again() {
    let registry = Registry::<f64>::default();
    check(&registry.estimators, |made, _| made.name());
    check(&registry.rules, |made, _| made.name());
    check(&Schedule::spellings(), |made, _| made.to_string());
    check(&registry.outers, |_, text| text);
    check(&registry.couplings, |made, _| made.name());
}

#[test]
fn texts_of_errors() {
    let estimator = |text: &str| text.parse::<Box<dyn Estimator<f32>>>().unwrap_err().to_string();
    for (text, why) in [
        ("exat", "unknown estimator 'exat': did you mean exact?"),
        ("exact:", "'exact' takes no settings, found ''"),
        ("cg:iteration=3", "unknown setting 'iteration' of cg: did you mean iterations?"),
        ("cg:mu", "mu of cg: found no value, expected a positive finite number"),
        ("cg:warm=yes", "warm of cg: found yes, expected 0 or 1"),
        ("cg:iterations=2,iterations=3", "cg: iterations is given twice"),
        ("dense:", "unknown setting '' of dense: expected one of mu, minimum"),
        (
            "neumann:warm=1",
            "unknown setting 'warm' of neumann: expected one of terms, lr, mu, minimum",
        ),
        ("truncated:k=1.5", "k of truncated: found 1.5, expected a whole number, 0 or more"),
        ("thinned:q=NaN", "q of thinned: found NaN, expected a probability above 0 and at most 1"),
        // Refused even if it has no effect.
        ("ufom:q=0.5,decay=1", "decay of ufom: found 1, expected a number above 0 and below 1"),
        ("ufom:d2=1", "ufom: expected one of q, subset, adaptive, paper-code, or d2 with v2"),
        (
            "ufom:q=0.5,adaptive",
            "ufom: expected one of q, subset, adaptive, paper-code, or d2 with v2",
        ),
        ("ufom:d2=1,v2=2,p=3", "p of ufom: found 3, expected 0.5, 1 or 2"),
        ("ufom:k=2,mixed", "ufom: expected k or mixed"),
        (
            "jump:paper-code",
            "unknown setting 'paper-code' of jump: expected one of q, subset, adaptive, \
                             floor, decay, product, anchors, degree",
        ),
        ("roulette:survival=0.5,0:1", "roulette: expected survival or levels"),
        ("roulette:0:1,5:x", "levels of roulette: found 0:1,5:x, expected depth:probability,..."),
        (
            "reversible:momentum=0.0005",
            "momentum of reversible: found 0.0005, expected a multiple of 0.001 \
                                        between 0 and 1",
        ),
    ] {
        assert_eq!(estimator(text), why);
    }
    let rule = |text: &str| text.parse::<AnyRule<f64>>().unwrap_err().to_string();
    for (text, why) in [
        ("heavy", "unknown rule 'heavy': did you mean heavy-ball?"),
        ("ista", "ista: expected l1 or outer"),
        ("ista:l1=1,outer=0", "ista: expected l1 or outer"),
        (
            "projected:lower=1,upper=0",
            "the box of projected: found 1 to 0, expected lower below upper",
        ),
        ("adam:eps=0", "eps of adam: found 0, expected a positive finite number"),
    ] {
        assert_eq!(rule(text), why);
    }
}

/// Names that were printed before settings were listed in a table.
#[test]
fn names_stay() {
    for (text, name) in [
        ("jump", "jump:q=0.1,anchors=3,degree=6"),
        ("ufom:adaptive", "ufom:adaptive=1,floor=0.05,decay=0.99"),
        ("ufom:paper-code=1,mixed=1", "ufom:paper-code=1,floor=0.05,decay=0.99,mixed=1"),
        ("ufom:subset=3,k=2", "ufom:subset=3,k=2"),
        ("ufom:product=3", "ufom:q=0.1,product=3"),
        ("cg", "cg:iterations=20,tolerance=1e-12"),
        ("fixed-point", "fixed-point:iterations=20,tolerance=1e-12,warm=1"),
        ("fixed-point:warm=0,lr=0.5", "fixed-point:lr=0.5,iterations=20,tolerance=1e-12,warm=0"),
        ("nystrom:shift=2", "nystrom:rank=10,shift=2,iterations=20,tolerance=1e-12"),
        ("single-draw:lr=0.1", "single-draw:terms=20,lr=0.1"),
        ("thinned", "thinned:q=0.3"),
        ("roulette", "roulette:survival=0.5"),
        ("forward-gradient", "forward-gradient:directions=1"),
    ] {
        assert_eq!(text.parse::<Box<dyn Estimator<f64>>>().unwrap().name(), name);
    }
    for (text, name) in [
        ("gradient-descent", "gradient-descent"),
        ("gradient-descent:outer=2", "gradient-descent:outer=2"),
        ("heavy-ball", "heavy-ball:momentum=0.9"),
        ("adam:decay=0.1", "adam:b1=0.9,b2=0.999,eps=1e-8,decay=0.1"),
        ("projected:upper=1", "projected:lower=-inf,upper=1"),
        ("ista:outer=0", "ista:outer=0"),
    ] {
        assert_eq!(text.parse::<AnyRule<f32>>().unwrap().name(), name);
    }
    assert_eq!(
        "disk:ram=1,disk=2,write=3".parse::<Schedule>().unwrap().to_string(),
        "disk:ram=1,disk=2,step=1,write=3,read=1"
    );
}

#[test]
fn defaults_are_what_their_settings_make() {
    let reversible = Reversible::new(0.9).unwrap();
    assert_eq!(format!("{reversible:?}"), format!("{:?}", Reversible::default()));
    let roulette = Roulette::new([(0, 1.0), (1, 0.5), (2, 0.25), (4, 0.125), (5, 0.0625)]).unwrap();
    assert_eq!(Roulette::default().for_steps(5).text(), roulette.text());
    assert_eq!(Ufom::new(0.1).unwrap().text(), Ufom::default().text());
}

/// A line that is added can be parsed and is listed; it replaces a line of the same name.
#[test]
fn tables_are_open() {
    let mut rules = Registry::<f64>::default().rules;
    let before = rules.lines().len();
    rules.add(Spelling::rule(GradientDescent::learned(3)));
    assert_eq!(rules.lines().len(), before);
    assert_eq!(rules.parse("gradient-descent").unwrap().name(), "gradient-descent:outer=3");
}
