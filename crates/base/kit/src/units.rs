//! Sizes, times and shares as people write them: `64KiB`, `250ms`, `50%`.
//!
//! A number without a unit is refused: nobody should have to look up whether `30` is seconds or milliseconds.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::ser::{Serialize, Serializer};

/// Units of time and their milliseconds, from small to large.
const TIME_UNITS: &[(&str, u64)] =
    &[("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Units of size and their bytes; those written first are preferred when a size is printed.
const SIZE_UNITS: &[(&str, u64)] = &[
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
];

/// The unit of shares.
const SHARE_UNITS: &[(&str, u64)] = &[("%", 1)];

/// A hundred years: whatever is longer was a slip of the hand.
const LONGEST_TIME_MS: u64 = 36_500 * 86_400_000;

/// Why a size or a time could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}: {help}")]
pub struct UnitError {
    message: String,
    help: String,
}

impl UnitError {
    /// What is wrong, quoting the text.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to write instead.
    pub fn help(&self) -> &str {
        &self.help
    }
}

/// A span of time with a unit: `250ms`, `2s`, `5m`, `1h`, `7d`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeSpan {
    milliseconds: u64,
}

impl TimeSpan {
    /// This many milliseconds.
    pub const fn from_millis(milliseconds: u64) -> Self {
        Self { milliseconds }
    }

    /// This many seconds; saturates.
    pub const fn from_secs(seconds: u64) -> Self {
        Self { milliseconds: seconds.saturating_mul(1_000) }
    }

    /// As the standard library's type.
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.milliseconds)
    }

    /// Whether it lasts no time at all.
    pub const fn is_zero(self) -> bool {
        self.milliseconds == 0
    }
}

impl From<TimeSpan> for Duration {
    fn from(span: TimeSpan) -> Self {
        span.duration()
    }
}

impl FromStr for TimeSpan {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let milliseconds = parse(text, "time", TIME_UNITS)?;
        if milliseconds > LONGEST_TIME_MS {
            return Err(UnitError {
                message: format!("the time `{text}` is too long"),
                help: "at most `36500d` is allowed".to_owned(),
            });
        }
        Ok(Self { milliseconds })
    }
}

impl fmt::Display for TimeSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_zero() {
            return f.write_str("0s");
        }
        print(f, self.milliseconds, TIME_UNITS)
    }
}

/// A number of bytes with a unit: `512B`, `64KiB`, `10MB`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize {
    bytes: u64,
}

impl ByteSize {
    /// This many bytes.
    pub const fn from_bytes(bytes: u64) -> Self {
        Self { bytes }
    }

    /// This many KiB; saturates.
    pub const fn from_kib(kib: u64) -> Self {
        Self { bytes: kib.saturating_mul(1 << 10) }
    }

    /// In bytes.
    pub const fn bytes(self) -> u64 {
        self.bytes
    }

    /// In bytes, as a length in memory; saturates.
    pub fn length(self) -> usize {
        usize::try_from(self.bytes).unwrap_or(usize::MAX)
    }
}

impl FromStr for ByteSize {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        parse(text, "size", SIZE_UNITS).map(Self::from_bytes)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.bytes == 0 {
            return f.write_str("0B");
        }
        print(f, self.bytes, SIZE_UNITS)
    }
}

/// A share in whole percent, at most all of it: `50%`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percent {
    percent: u8,
}

impl Percent {
    /// Nothing.
    pub const NONE: Self = Self { percent: 0 };
    /// All of it.
    pub const ALL: Self = Self { percent: 100 };

    /// This many percent; at most 100.
    pub const fn new(percent: u8) -> Self {
        Self { percent: if percent > 100 { 100 } else { percent } }
    }

    /// In percent, 0 to 100.
    pub const fn percent(self) -> u8 {
        self.percent
    }

    /// As a share, 0 to 1.
    pub fn share(self) -> f64 {
        f64::from(self.percent) / 100.0
    }
}

impl FromStr for Percent {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let percent = parse(text, "share", SHARE_UNITS)?;
        match u8::try_from(percent) {
            Ok(percent) if percent <= 100 => Ok(Self { percent }),
            _ => Err(UnitError {
                message: format!("the share `{text}` is more than all"),
                help: "at most `100%` is allowed".to_owned(),
            }),
        }
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.percent)
    }
}

/// A whole number followed by one of the units, multiplied out.
fn parse(text: &str, what: &str, units: &[(&str, u64)]) -> Result<u64, UnitError> {
    let error = |message: String, help: String| Err(UnitError { message, help });
    let digits_end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(digits_end);
    let unit = rest.trim_start_matches(' ');
    if digits.is_empty() {
        return error(format!("`{text}` is not a {what}"), format!("write {}", examples(what, "10")));
    }
    if unit.is_empty() {
        return error(
            format!("the {what} `{text}` has no unit"),
            format!("write for instance {}", examples(what, digits)),
        );
    }
    if rest.starts_with('.') {
        let instead = match what {
            "time" => "use a smaller unit, `1500ms` for 1.5 seconds",
            "size" => "use a smaller unit, `1536KiB` for 1.5 MiB",
            _ => "write whole percent",
        };
        return error(format!("the {what} `{text}` is not a whole number"), instead.to_owned());
    }
    let Some((_, factor)) = units.iter().find(|(name, _)| *name == unit) else {
        return error(
            format!("the {what} `{text}` has an unknown unit `{unit}`"),
            unit_help(digits, unit, units),
        );
    };
    match digits.parse::<u64>().ok().and_then(|number| number.checked_mul(*factor)) {
        Some(value) => Ok(value),
        None => error(format!("the {what} `{text}` is too large"), "use a smaller number".to_owned()),
    }
}

/// Two ways to write a number with a unit.
fn examples(what: &str, number: &str) -> String {
    match what {
        "time" => format!("`{number}s` or `{number}ms`"),
        "share" => format!("`{number}%`"),
        _ => format!("`{number}KiB` or `{number}MB`"),
    }
}

/// The unit that was probably meant, or all there are.
fn unit_help(digits: &str, unit: &str, units: &[(&str, u64)]) -> String {
    let long = match unit.to_ascii_lowercase().as_str() {
        "sec" | "secs" | "second" | "seconds" => "s",
        "min" | "mins" | "minute" | "minutes" => "m",
        "hour" | "hours" | "hr" => "h",
        "day" | "days" => "d",
        "msec" | "millis" | "milliseconds" => "ms",
        "byte" | "bytes" => "B",
        "k" | "ki" => "KiB",
        "mi" => "MiB",
        "g" | "gi" => "GiB",
        _ => unit,
    };
    let all = || units.iter().map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    match units.iter().find(|(name, _)| name.eq_ignore_ascii_case(long)) {
        Some((name, _)) => format!("did you mean `{digits}{name}`?"),
        None => format!("the units are {}", all()),
    }
}

/// The shortest exact form; the unit that comes first wins among equals.
fn print(f: &mut fmt::Formatter<'_>, value: u64, units: &[(&str, u64)]) -> fmt::Result {
    let exact = units.iter().filter(|(_, factor)| value.is_multiple_of(*factor));
    match exact.min_by_key(|(_, factor)| value / factor) {
        Some((name, factor)) => write!(f, "{}{name}", value / factor),
        None => write!(f, "{value}"),
    }
}

/// serde and schema for a type that is written as a string.
macro_rules! as_text {
    ($type:ident, $format:literal, $pattern:literal, $expecting:literal) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl Visitor<'_> for Text {
                    type Value = $type;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expecting)
                    }

                    fn visit_str<E: Error>(self, text: &str) -> Result<$type, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "format": $format, "pattern": $pattern })
            }
        }
    };
}

as_text!(TimeSpan, "time-span", "^[0-9]+ *(ms|s|m|h|d)$", "a time with its unit, such as `250ms`");
as_text!(ByteSize, "byte-size", "^[0-9]+ *(B|[KMGT]iB|[kKMGT]B)$", "a size with its unit, such as `64KiB`");

as_text!(Percent, "percent", "^[0-9]+ *%$", "a share in percent, such as `50%`");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_printed_in_their_shortest_exact_form() {
        let cases = [
            ("64KiB", 65_536, "64KiB"),
            ("10MB", 10_000_000, "10MB"),
            ("0B", 0, "0B"),
            ("1000KB", 1_000_000, "1MB"),
            ("1024KiB", 1 << 20, "1MiB"),
            ("1500B", 1_500, "1500B"),
            ("3 GiB", 3 << 30, "3GiB"),
        ];
        for (text, bytes, printed) in cases {
            let size: ByteSize = text.parse().unwrap();
            assert_eq!(size.bytes(), bytes, "{text}");
            assert_eq!(size.to_string(), printed, "{text}");
            assert_eq!(printed.parse::<ByteSize>().unwrap(), size);
        }
    }

    #[test]
    fn times_are_read_and_printed_in_their_shortest_exact_form() {
        let cases =
            [("250ms", 250, "250ms"), ("2s", 2_000, "2s"), ("5m", 300_000, "5m"), ("90s", 90_000, "90s")];
        for (text, milliseconds, printed) in cases {
            let span: TimeSpan = text.parse().unwrap();
            assert_eq!(span.duration(), Duration::from_millis(milliseconds), "{text}");
            assert_eq!(span.to_string(), printed, "{text}");
        }
        assert_eq!("0s", TimeSpan::default().to_string());
    }

    #[test]
    fn shares_are_whole_percent() {
        assert_eq!("70%".parse::<Percent>().unwrap().share(), 0.7);
        assert_eq!(Percent::new(250), Percent::ALL);
        let error = |text: &str| text.parse::<Percent>().unwrap_err().to_string();
        assert_eq!(error("70"), "the share `70` has no unit: write for instance `70%`");
        assert_eq!(error("0.5%"), "the share `0.5%` is not a whole number: write whole percent");
        assert_eq!(error("101%"), "the share `101%` is more than all: at most `100%` is allowed");
        assert_eq!(error("half"), "`half` is not a share: write `10%`");
    }

    #[test]
    fn errors_say_what_to_write_instead() {
        let time = |text: &str| text.parse::<TimeSpan>().unwrap_err().to_string();
        assert_eq!(time("5"), "the time `5` has no unit: write for instance `5s` or `5ms`");
        assert_eq!(time("5sec"), "the time `5sec` has an unknown unit `sec`: did you mean `5s`?");
        assert_eq!(
            time("5x"),
            "the time `5x` has an unknown unit `x`: the units are `ms`, `s`, `m`, `h`, `d`"
        );
        assert_eq!(
            time("1.5s"),
            "the time `1.5s` is not a whole number: use a smaller unit, `1500ms` for 1.5 seconds"
        );
        assert_eq!(time("soon"), "`soon` is not a time: write `10s` or `10ms`");
        assert_eq!(time("36501d"), "the time `36501d` is too long: at most `36500d` is allowed");
        let size = |text: &str| text.parse::<ByteSize>().unwrap_err().to_string();
        assert_eq!(size("64kib"), "the size `64kib` has an unknown unit `kib`: did you mean `64KiB`?");
        assert_eq!(
            size("99999999999999999999TB"),
            "the size `99999999999999999999TB` is too large: use a smaller number"
        );
        assert_eq!(size(""), "`` is not a size: write `10KiB` or `10MB`");
        assert_eq!(size("-1B"), "`-1B` is not a size: write `10KiB` or `10MB`");
    }
}
