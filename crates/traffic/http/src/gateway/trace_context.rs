//! W3C Trace Context: `traceparent` is passed on, or made where there is none that is valid.

use base_kit::Rng;

use crate::fields::{Fields, KnownField};
use crate::gateway::request_id::hex;

/// `version-trace id-parent id-flags` of version 00.
const LENGTH: usize = 55;

/// The trace that a request belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// Ids and flags, in the layout of version 00.
    text: [u8; LENGTH],
    is_new: bool,
}

impl TraceContext {
    /// The trace of a request: that of its `traceparent`, or else a new one, which the field then names.
    ///
    /// A `traceparent` that is invalid or repeated is replaced; `tracestate` is dropped where it belongs to no valid
    /// `traceparent`. `is_sampled` is the flag of a new trace. Samplers of endpoints follow their parent: with `false`
    /// they record nothing, with `true` everything.
    pub fn ensure(fields: &mut Fields, is_sampled: bool, rng: &mut dyn Rng) -> Self {
        let sent =
            fields.get(KnownField::Traceparent).filter(|_| !fields.has_several(KnownField::Traceparent));
        if let Some(context) = sent.and_then(Self::parse) {
            return context;
        }
        let context = Self::fresh(is_sampled, rng);
        fields.remove_known(KnownField::Tracestate);
        fields.compose_known(KnownField::Traceparent).push_own(&context.text).replace();
        context
    }

    /// A new trace.
    pub fn fresh(is_sampled: bool, rng: &mut dyn Rng) -> Self {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        // An id of zeros is invalid.
        for (start, number) in [(3, rng.next_u64()), (19, rng.next_u64() | 1), (36, rng.next_u64() | 1)] {
            if let Some(place) = text.get_mut(start..start + 16) {
                place.copy_from_slice(&hex(number));
            }
        }
        if let (Some(flag), true) = (text.last_mut(), is_sampled) {
            *flag = b'1';
        }
        Self { text, is_new: true }
    }

    /// What a `traceparent` says; `None` if it is invalid. Versions to come may have more fields after the flags.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let text: [u8; LENGTH] = *value.first_chunk()?;
        let is_valid = text.iter().enumerate().all(|(index, byte)| match index {
            2 | 35 | 52 => *byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        });
        let is_whole = match (text.first_chunk(), value.get(LENGTH)) {
            (Some(b"ff"), _) => false,
            (_, None) => true,
            (Some(b"00"), Some(_)) => false,
            (_, Some(next)) => *next == b'-',
        };
        let context = Self { text, is_new: false };
        let is_zero = |id: &str| id.bytes().all(|digit| digit == b'0');
        (is_valid && is_whole && !is_zero(context.trace_id()) && !is_zero(context.parent_id()))
            .then_some(context)
    }

    /// 32 hexadecimal digits.
    pub fn trace_id(&self) -> &str {
        self.part(3, 35)
    }

    /// 16 hexadecimal digits: the span that sent the request.
    pub fn parent_id(&self) -> &str {
        self.part(36, 52)
    }

    /// Whether the caller may have recorded the trace.
    pub fn is_sampled(&self) -> bool {
        self.part(53, 55).bytes().next_back().is_some_and(|digit| b"13579bdf".contains(&digit))
    }

    /// Whether the trace begins here.
    pub const fn is_new(&self) -> bool {
        self.is_new
    }

    fn part(&self, start: usize, end: usize) -> &str {
        self.text.get(start..end).and_then(|part| std::str::from_utf8(part).ok()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use base_kit::SeededRng;

    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn with(lines: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::new();
        for (name, value) in lines {
            fields.append(name, value.as_bytes());
        }
        fields
    }

    #[test]
    fn a_valid_traceparent_is_passed_on_with_its_tracestate() {
        let mut fields = with(&[("traceparent", VALID), ("tracestate", "a=1"), ("tracestate", "b=2")]);
        let context = TraceContext::ensure(&mut fields, false, &mut SeededRng::new(1));
        assert!(!context.is_new() && context.is_sampled());
        assert_eq!(context.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(context.parent_id(), "00f067aa0ba902b7");
        assert_eq!(fields.get(KnownField::Traceparent), Some(VALID.as_bytes()));
        assert_eq!(fields.values(KnownField::Tracestate).count(), 2);
    }

    #[test]
    fn what_is_invalid_is_replaced_and_its_state_dropped() {
        for invalid in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-extra",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x",
            "0g-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            let mut fields = with(&[("traceparent", invalid), ("tracestate", "a=1")]);
            let context = TraceContext::ensure(&mut fields, true, &mut SeededRng::new(1));
            assert!(context.is_new() && context.is_sampled(), "{invalid}");
            let sent = fields.get(KnownField::Traceparent).unwrap();
            let parsed = TraceContext::parse(sent).unwrap();
            assert_eq!((parsed.trace_id(), parsed.parent_id()), (context.trace_id(), context.parent_id()));
            assert!(!fields.has(KnownField::Tracestate) && !fields.has_several(KnownField::Traceparent));
        }
    }

    #[test]
    fn repeated_ones_are_replaced_and_later_versions_understood() {
        let mut fields = with(&[("traceparent", VALID), ("traceparent", VALID)]);
        assert!(TraceContext::ensure(&mut fields, false, &mut SeededRng::new(1)).is_new());
        assert!(!fields.has_several(KnownField::Traceparent));
        let later = VALID.replacen("00", "cc", 1) + "-what-the-future-holds";
        assert!(TraceContext::parse(later.as_bytes()).is_some());
        assert!(!TraceContext::fresh(false, &mut SeededRng::new(1)).is_sampled());
    }
}
