//! Estimators by the name that users type: `name` or `name:setting=value,...`.

use super::failure::Failure;
use super::names;
use crate::{Element, Estimator, Exact};

/// An estimator as it is listed.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) name: &'static str,
    pub(crate) settings: &'static str,
    pub(crate) cost: &'static str,
    pub(crate) summary: &'static str,
}

/// All estimators.
pub(crate) const ALL: &[Listed] = &[Listed {
    name: "exact",
    settings: "-",
    cost: "r gradients, r HVPs, r + 3 states",
    summary: "gradient of the unrolled inner loop, from stored states; no bias",
}];

/// The estimator that `text` names.
///
/// # Errors
/// A usage error that names the estimator or the setting.
pub(crate) fn parse<T: Element>(text: &str) -> Result<Box<dyn Estimator<T>>, Failure> {
    let (name, settings) = text.split_once(':').map_or((text, None), |(n, s)| (n, Some(s)));
    let listed = names::find("estimator", name, ALL, |e| e.name)?;
    if let Some(settings) = settings {
        return Err(Failure::usage(format!(
            "estimator '{}' takes no settings, found '{settings}'",
            listed.name
        )));
    }
    Ok(Box::new(Exact::default()))
}
