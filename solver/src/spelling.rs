//! `Spelled`: a choice as it is typed, `name:setting=value,...`, with each of its settings declared once.
//!
//! [`Spelled::spell`] visits the settings of a value. The same visit reads them from a text, prints them, lists them
//! with their help, and checks their ranges.

mod names;
mod table;
mod value;

use std::fmt;

use crate::error::Error;
use crate::spelling::names::{hint, spelling};
use crate::spelling::value::LONG;
use crate::text::either;

pub use crate::spelling::names::find_by_name;
pub(crate) use crate::spelling::table::spelled;
pub use crate::spelling::value::{Range, Value, expect_in};

/// Description of a choice in one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About {
    /// The name under which it is typed.
    pub name: &'static str,
    /// Summary of the choice.
    pub summary: &'static str,
    /// Cost of the choice; empty if there is nothing to say.
    pub cost: &'static str,
}

/// A choice that has a name and settings.
///
/// ```
/// use hypertape_solver::{About, Error, Range, Visit, Spelled};
///
/// #[derive(Clone, Debug, PartialEq)]
/// struct Cooling { rate: f64, every: usize, quiet: bool }
/// impl Spelled for Cooling {
///     fn about(&self) -> About {
///         About { name: "cooling", summary: "a temperature that falls", cost: "" }
///     }
///     fn spell(&self, settings: &mut Visit) -> Result<Self, Error> {
///         Ok(Self {
///             rate: settings.get("rate", self.rate, Range::PROBABILITY, "from one temperature to the next"),
///             every: settings.get("every", self.every, Range::ONE_OR_MORE, "steps at one temperature"),
///             quiet: settings.get("quiet", self.quiet, Range::SWITCH, "whether it tells nothing"),
///         })
///     }
/// }
/// let cooling = Cooling { rate: 0.9, every: 10, quiet: false };
/// assert_eq!(cooling.text(), "cooling:rate=0.9,every=10");
/// assert_eq!(cooling.read(Some("every=3,quiet"))?, Cooling { rate: 0.9, every: 3, quiet: true });
/// let why = |text| cooling.read(Some(text)).unwrap_err().to_string();
/// assert_eq!(why("rate=2"), "rate of cooling: found 2, expected a probability above 0 and at most 1");
/// assert_eq!(why("rte=0.5"), "unknown setting 'rte' of cooling: did you mean rate?");
/// assert_eq!(why("rate=0.5,rate=0.6"), "cooling: rate is given twice");
/// # Ok::<(), Error>(())
/// ```
pub trait Spelled: Clone {
    /// Returns name and description.
    fn about(&self) -> About;

    /// Visits every setting with its current value, whatever the values of the others, and returns the choice with the
    /// values that the visit returns.
    ///
    /// A choice without settings returns itself.
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] or [`Error::Spelling`] for settings that exclude each other.
    fn spell(&self, _settings: &mut Visit) -> Result<Self, Error> {
        Ok(self.clone())
    }

    /// Returns the choice as it is typed.
    fn text(&self) -> String {
        let mut settings = Visit::new(self.about().name, None);
        // The settings of an invalid value are printed as well.
        let _ = self.spell(&mut settings);
        settings.to_string()
    }

    /// Returns the choice with the settings in `typed`, which is the text after the name and a colon.
    ///
    /// # Errors
    /// Returns [`Error::Spelling`] for a setting that is unknown, repeated or missing, and [`Error::Invalid`] for one
    /// that is out of range.
    fn read(&self, typed: Option<&str>) -> Result<Self, Error> {
        Visit::read(self.about().name, typed, |settings| self.spell(settings))
    }

    /// Returns the choice if all settings are in range.
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] for the first setting that is not.
    fn checked(self) -> Result<Self, Error> {
        let mut settings = Visit { noting: false, ..Visit::new(self.about().name, None) };
        let made = self.spell(&mut settings);
        settings.wrong.map_or(made, Err).map(|_| self)
    }
}

/// Something that has a name: every choice that is [`Spelled`], and types that implement this trait directly.
pub trait Named {
    /// Name under which it is chosen, with its settings.
    fn name(&self) -> String;

    /// Returns an error unless all settings are in range.
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] with the setting.
    fn check(&self) -> Result<(), Error> {
        Ok(())
    }
}

impl<S: Spelled> Named for S {
    fn name(&self) -> String {
        self.text()
    }

    fn check(&self) -> Result<(), Error> {
        self.clone().checked().map(drop)
    }
}

/// A setting as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// Name of the setting; for one that is typed without a name, its form, such as `depth:probability,...`.
    pub name: &'static str,
    /// Value in the choice that was visited, which for a listed choice is the default; `None` if it has none.
    pub value: Option<String>,
    /// Whether the setting is required; its value is then an example.
    pub needed: bool,
    /// Description of the permitted values, as after "expected".
    pub expected: String,
    /// Help text.
    pub help: &'static str,
    /// Whether the setting is part of the text of the choice.
    shown: bool,
    bare: bool,
}

/// A visit to the settings of a choice.
#[derive(Debug)]
pub struct Visit<'t> {
    name: &'static str,
    /// Whether a text is read, so that the value of a required setting is only an example.
    reading: bool,
    /// Whether visited settings are recorded; a mere check allocates nothing.
    noting: bool,
    /// The typed settings: names, and the texts after `=`.
    given: Vec<(&'t str, Option<&'t str>)>,
    seen: Vec<Described>,
    wrong: Option<Error>,
}

impl<'t> Visit<'t> {
    fn new(name: &'static str, typed: Option<&'t str>) -> Self {
        let pairs = typed.into_iter().flat_map(|typed| typed.split(','));
        let split =
            |pair: &'t str| pair.split_once('=').map_or((pair, None), |(n, v)| (n, Some(v)));
        let given = pairs.map(split).collect();
        Self { name, reading: false, noting: true, given, seen: Vec::new(), wrong: None }
    }

    /// Returns the choice that `visit` makes with the settings in a text.
    pub(crate) fn read<M>(
        name: &'static str,
        typed: Option<&'t str>,
        visit: impl FnOnce(&mut Self) -> Result<M, Error>,
    ) -> Result<M, Error> {
        let mut settings = Self { reading: true, ..Self::new(name, typed) };
        let made = visit(&mut settings);
        if let (Some(typed), true) = (typed, settings.seen.is_empty()) {
            return Err(spelling(format!("'{name}' takes no settings, found '{typed}'")));
        }
        settings.end().and(made)
    }

    /// Returns the settings that `visit` visits, with their values.
    pub(crate) fn list<M>(
        name: &'static str,
        visit: impl FnOnce(&mut Self) -> Result<M, Error>,
    ) -> Vec<Described> {
        let mut settings = Self::new(name, None);
        // Examples of required settings need not be compatible.
        let _ = visit(&mut settings);
        settings.seen
    }

    /// Whether the setting was typed.
    pub fn given(&self, name: &str) -> bool {
        self.given.iter().any(|(n, _)| *n == name)
    }

    /// Visits a setting and returns what was typed for it, or `value`. It is printed unless it is missing or off.
    pub fn get<V: Value>(
        &mut self,
        name: &'static str,
        value: V,
        range: Range,
        help: &'static str,
    ) -> V {
        self.get_if(value.shown(), name, value, range, help)
    }

    /// Visits a setting like [`get`](Self::get), but prints it if `shown`.
    pub fn get_if<V: Value>(
        &mut self,
        shown: bool,
        name: &'static str,
        value: V,
        range: Range,
        help: &'static str,
    ) -> V {
        let typed = self.given.iter().find(|(n, _)| *n == name).map(|&(_, typed)| typed);
        let found = typed.map_or(Some(value), V::read);
        if found.is_none_or(|found| found.number().is_some_and(|v| !(range.holds)(v))) {
            let found = match typed {
                Some(typed) => typed.unwrap_or("no value").to_owned(),
                None => value.print().unwrap_or_default(),
            };
            let found = match found.parse() {
                Ok(value) if found.len() > LONG => range.shown(value),
                _ => found,
            };
            self.refuse(Error::invalid(format!("{name} of {}", self.name), found, range.expected));
        }
        if self.noting {
            self.note(name, value.print(), range.expected.to_owned(), help, shown);
        }
        found.unwrap_or(value)
    }

    /// Visits a required setting, of which `value` is an example.
    pub fn need<V: Value>(
        &mut self,
        name: &'static str,
        value: V,
        range: Range,
        help: &'static str,
    ) -> V {
        if self.reading && !self.given(name) {
            let (of, example) = (self.name, value.print().unwrap_or_default());
            let before =
                |s: &Described| format!("{}={},", s.name, s.value.as_deref().unwrap_or("1"));
            let before = self.seen.iter().map(before).collect::<String>();
            let why = format!("{of} needs {name}, for example {of}:{before}{name}={example}");
            self.refuse(spelling(why));
        }
        let found = self.get(name, value, range, help);
        if let Some(setting) = self.seen.last_mut() {
            setting.needed = true;
        }
        found
    }

    /// Visits a setting that is one of several words, and prints it unless it is the first word.
    pub fn word<W: Copy + PartialEq>(
        &mut self,
        name: &'static str,
        value: W,
        words: &[(&'static str, W)],
        help: &'static str,
    ) -> W {
        if !self.noting {
            return value;
        }
        let expected = either(&words.iter().map(|(word, _)| *word).collect::<Vec<_>>());
        let typed = self.given.iter().find(|(n, _)| *n == name).map(|(_, typed)| *typed);
        let word = |typed: Option<&str>| words.iter().find(|(word, _)| Some(*word) == typed);
        let found = typed.map_or(Some(value), |typed| word(typed).map(|&(_, w)| w));
        if found.is_none() {
            let found = typed.flatten().unwrap_or("no value");
            self.refuse(Error::invalid(format!("{name} of {}", self.name), found, &*expected));
        }
        let place = words.iter().position(|(_, w)| *w == value).unwrap_or_default();
        self.note(name, Some(words[place].0.to_owned()), expected, help, place > 0);
        found.unwrap_or(value)
    }

    /// Returns what was typed without `=` and is not the name of a setting, such as levels `depth:probability,...`;
    /// `value` is printed.
    ///
    /// It must be visited last.
    pub fn bare(
        &mut self,
        form: &'static str,
        value: Option<String>,
        help: &'static str,
    ) -> Vec<&'t str> {
        let named = |name: &str| self.seen.iter().any(|s| s.name == name);
        let (own, others): (Vec<_>, Vec<_>) = self
            .given
            .iter()
            .partition(|(n, typed)| typed.is_none() && !named(n) && n.contains(':'));
        self.given = others;
        let shown = value.is_some();
        self.note(form, value, form.to_owned(), help, shown);
        if let Some(setting) = self.seen.last_mut() {
            setting.bare = true;
        }
        own.into_iter().map(|(text, _)| text).collect()
    }

    fn note(
        &mut self,
        name: &'static str,
        value: Option<String>,
        expected: String,
        help: &'static str,
        shown: bool,
    ) {
        let (needed, bare) = (false, false);
        self.seen.push(Described { name, value, needed, expected, help, shown, bare });
    }

    /// Records an error; the first one is kept.
    pub fn refuse(&mut self, error: Error) {
        self.wrong.get_or_insert(error);
    }

    /// Records an error if more than one of `given` is true.
    pub fn at_most_one(&mut self, given: &[bool], expected: &str) {
        if given.iter().filter(|&&given| given).count() > 1 {
            self.refuse(spelling(format!("{}: expected {expected}", self.name)));
        }
    }

    /// Records an error if a text has neither or both of two settings.
    pub fn exactly_one(&mut self, names: [&str; 2]) {
        let [first, second] = names;
        for setting in self.seen.iter_mut().filter(|s| names.contains(&s.name)) {
            setting.needed = true;
        }
        if self.reading && self.given(first) == self.given(second) {
            let why = format!("{}: expected {first} or {second}", self.name);
            self.refuse(spelling(why));
        }
    }

    fn end(self) -> Result<(), Error> {
        let name = self.name;
        for (i, (setting, _)) in self.given.iter().enumerate() {
            if !self.seen.iter().any(|s| !s.bare && s.name == *setting) {
                let names: Vec<&str> = self.seen.iter().map(|s| s.name).collect();
                let hint = hint(setting, &names);
                return Err(spelling(format!("unknown setting '{setting}' of {name}: {hint}")));
            }
            if self.given[..i].iter().any(|(before, _)| before == setting) {
                return Err(spelling(format!("{name}: {setting} is given twice")));
            }
        }
        self.wrong.map_or(Ok(()), Err)
    }
}

/// Prints the visited choice as it is typed.
impl fmt::Display for Visit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        let shown = self.seen.iter().filter(|s| s.shown).enumerate();
        for (i, Described { name, value, bare, .. }) in shown {
            f.write_str(if i == 0 { ":" } else { "," })?;
            match (bare, value.as_deref().unwrap_or_default()) {
                (true, value) => f.write_str(value)?,
                (false, value) => write!(f, "{name}={value}")?,
            }
        }
        Ok(())
    }
}
