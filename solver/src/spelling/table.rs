//! `spelled!`: choices as tables, with one row for each setting.

/// Defines choices: types that are [`Spelled`](crate::Spelled), with each setting in one row.
///
/// A row gives a field, its type and default, and the range and help of the setting, which has the name of the field or
/// the one after `as`. A setting marked `(needed)` is required, and its default is an example; one marked `(quiet)` is
/// printed only if it differs from its default. A row without range and help visits the settings of the field itself, as
/// for [`Stop`](crate::Stop). Fields that are no settings stand `beside` them. The structure gets a `Default`.
///
/// ```
/// use hypertape_solver::{Range, Spelled, spelled};
///
/// spelled! {
///     /// A temperature that falls.
///     #[derive(Clone, Debug, PartialEq)]
///     struct Cooling: "cooling", "a temperature that falls", "" {
///         rate: f64 = 0.9, Range::PROBABILITY, "from one temperature to the next";
///         steps as "every" (needed): usize = 10, Range::ONE_OR_MORE, "steps at one temperature";
///         floor (quiet): f64 = 0.0, Range::NOT_NEGATIVE, "the lowest temperature";
///     } beside {
///         now: Option<f64> = None;
///     }
/// }
/// let cooling = Cooling { steps: 3, ..Cooling::default() };
/// assert_eq!(cooling.text(), "cooling:rate=0.9,every=3");
/// assert_eq!(cooling.read(Some("every=5,floor=2"))?.text(), "cooling:rate=0.9,every=5,floor=2");
/// let why = cooling.read(Some("floor=2")).unwrap_err().to_string();
/// assert_eq!(why, "cooling needs every, for example cooling:rate=0.9,every=3");
/// # Ok::<(), hypertape_solver::Error>(())
/// ```
///
/// An `enum` gives a name to each variant, with a row for each of its fields; `listed` returns one of each kind. For
/// types that exist already and have no settings, only names are given: `Growing: "growing", "one step more each", "";`
#[macro_export]
macro_rules! spelled {
    (@visit $visit:ident, $value:expr, [], $name:expr, $default:expr) => {
        $value.spell($visit)
    };
    (@visit $visit:ident, $value:expr, [], $name:expr, $default:expr, $range:expr, $help:expr) => {
        $visit.get($name, $value, $range, $help)
    };
    (@visit $visit:ident, $value:expr, [needed], $name:expr, $default:expr,
     $range:expr, $help:expr) => {
        $visit.need($name, $value, $range, $help)
    };
    (@visit $visit:ident, $value:expr, [quiet], $name:expr, $default:expr,
     $range:expr, $help:expr) => {
        $visit.get_if($value != $default, $name, $value, $range, $help)
    };
    (@name $field:ident) => {
        stringify!($field)
    };
    (@name $field:ident $name:literal) => {
        $name
    };
    ($($choice:ident: $name:literal, $summary:literal, $cost:literal);+ $(;)?) => {$(
        impl $crate::Spelled for $choice {
            fn about(&self) -> $crate::About {
                $crate::About { name: $name, summary: $summary, cost: $cost }
            }
        }
    )+};
    ($(#[$meta:meta])* $vis:vis struct $choice:ident: $name:literal, $summary:literal, $cost:tt {$(
        $(#[$doc:meta])* $field_vis:vis $field:ident $(as $setting:literal)? $(($kind:ident))?:
            $type:ty = $default:expr $(, $range:expr, $help:expr)?;
    )*} $(beside {$(
        $(#[$own_doc:meta])* $own_vis:vis $own:ident: $own_type:ty = $own_default:expr;
    )*})?) => {
        $(#[$meta])*
        ///
        /// Defaults:
        $(#[doc = concat!("- `", stringify!($field), " = ", stringify!($default), "`")])*
        $vis struct $choice {
            $($(#[$doc])* $field_vis $field: $type,)*
            $($($(#[$own_doc])* $own_vis $own: $own_type,)*)?
        }

        impl Default for $choice {
            fn default() -> Self {
                Self { $($field: $default,)* $($($own: $own_default,)*)? }
            }
        }

        impl $crate::Spelled for $choice {
            fn about(&self) -> $crate::About {
                $crate::About { name: $name, summary: $summary, cost: $cost }
            }

            fn spell(&self, visit: &mut $crate::Visit) -> Result<Self, $crate::Error> {
                let mut made = Clone::clone(self);
                $(made.$field = $crate::spelled!(
                    @visit visit, made.$field, [$($kind)?],
                    $crate::spelled!(@name $field $($setting)?), $default $(, $range, $help)?
                );)*
                Ok(made)
            }
        }
    };
    ($(#[$meta:meta])* $vis:vis enum $choice:ident {$(
        $(#[$doc:meta])* $variant:ident: $name:literal, $summary:literal, $cost:literal $({$(
            $(#[$field_doc:meta])* $field:ident $(as $setting:literal)? $(($kind:ident))?:
                $type:ty = $default:expr $(, $range:expr, $help:expr)?;
        )*})?
    )+}) => {
        $(#[$meta])*
        $vis enum $choice {
            $($(#[$doc])* $variant $({ $($(#[$field_doc])* $field: $type),* })?,)+
        }

        impl $choice {
            /// Returns one of each kind, with defaults and examples of required settings.
            $vis fn listed() -> impl IntoIterator<Item = Self> {
                [$(Self::$variant { $($($field: $default),*)? }),+]
            }
        }

        impl $crate::Spelled for $choice {
            fn about(&self) -> $crate::About {
                let (name, summary, cost) = match self {
                    $(Self::$variant { .. } => ($name, $summary, $cost),)+
                };
                $crate::About { name, summary, cost }
            }

            fn spell(&self, visit: &mut $crate::Visit) -> Result<Self, $crate::Error> {
                Ok(match Clone::clone(self) {
                    $(Self::$variant { $($($field),*)? } => Self::$variant { $($($field: $crate::spelled!(
                        @visit visit, $field, [$($kind)?],
                        $crate::spelled!(@name $field $($setting)?), $default $(, $range, $help)?
                    )),*)? },)+
                })
            }
        }
    };
}

pub(crate) use spelled;
