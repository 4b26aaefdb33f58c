//! Serialisation of numbers as text: durations in seconds, values of any precision as doubles, norms that may have
//! overflowed.
//!
//! The decimals of doubles read back as the same bits. So do durations below 48 days, because a double of seconds
//! resolves their nanoseconds.

/// A duration as seconds.
pub(crate) mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(time.as_secs_f64())
    }

    pub(crate) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<Duration, D::Error> {
        Duration::try_from_secs_f64(f64::deserialize(from)?).map_err(D::Error::custom)
    }
}

/// A number that may have overflowed to infinity: `null` in JSON, which has no infinity.
pub(crate) mod overflowing {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde hands over")]
    pub(crate) fn serialize<S: Serializer>(value: &f64, to: S) -> Result<S::Ok, S::Error> {
        Some(*value).filter(|v| v.is_finite()).serialize(to)
    }

    pub(crate) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<f64, D::Error> {
        Ok(Option::deserialize(from)?.unwrap_or(f64::INFINITY))
    }
}

/// Values in the precision of a run, which doubles represent exactly.
pub(crate) mod values {
    use hypertape_autodiff::Element;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<T: Element, S: Serializer>(
        values: &[T],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_seq(values.iter().map(|v| v.as_f64()))
    }

    pub(crate) fn deserialize<'d, T: Element, D: Deserializer<'d>>(
        from: D,
    ) -> Result<Vec<T>, D::Error> {
        Ok(Vec::<f64>::deserialize(from)?.into_iter().map(T::from_f64).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde::{Deserialize, Serialize};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Numbers {
        #[serde(with = "super::seconds")]
        time: Duration,
        #[serde(with = "super::overflowing")]
        norm: f64,
        #[serde(with = "super::values")]
        values: Vec<f32>,
    }

    #[test]
    fn numbers_come_back_bit_for_bit() {
        let mut nanoseconds = 1_u64;
        for i in 0..2000 {
            // All magnitudes up to 48 days, in odd steps.
            nanoseconds = nanoseconds.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(i);
            let value = f32::from_bits((nanoseconds >> 33) as u32 & 0x7f7f_ffff);
            let numbers = Numbers {
                time: Duration::from_nanos(nanoseconds % ((48 * 86_400_000_000_000) >> (i % 50))),
                norm: if i % 3 == 0 { f64::INFINITY } else { f64::from(value).exp().sqrt() },
                values: vec![value, -value],
            };
            let text = serde_json::to_string(&numbers).unwrap();
            assert_eq!(serde_json::from_str::<Numbers>(&text).unwrap(), numbers, "{text}");
        }
    }

    #[test]
    fn times_that_are_none_are_refused() {
        for time in ["-1.0", "1e300", "\"1\""] {
            let text = format!(r#"{{"time": {time}, "norm": null, "values": []}}"#);
            assert!(serde_json::from_str::<Numbers>(&text).is_err(), "{time}");
        }
    }
}
