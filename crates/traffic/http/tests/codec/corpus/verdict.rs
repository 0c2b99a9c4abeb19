//! What Aya says of a case.

use base_kit::{Rng, SeededRng};
use traffic_http::{HeadLimits, HttpError, Method};

use super::case::{Case, Field, Said, Side};
use crate::stream::{Event, Head, Rest, Role, assert_same_however_split};

/// Ways in which each case is cut at random, besides whole and byte by byte.
pub(crate) const RANDOM_SPLITS: u64 = 20;

/// What Aya says.
pub(crate) struct Verdict {
    pub(crate) said: Vec<Said>,
    /// Why it reads no further, if it does not.
    pub(crate) error: Option<HttpError>,
    /// Where the first byte is that is not used up.
    pub(crate) head_at: usize,
}

/// Reads the input in all pieces, and gives what comes of it.
pub(crate) fn verdict(case: &Case, input: &[u8]) -> Verdict {
    let role = match (case.side, case.skips_body) {
        (Side::Request, _) => Role::Server,
        (Side::Response, true) => Role::Client(Method::Head),
        (Side::Response, false) => Role::Client(Method::Get),
    };
    let limits = HeadLimits::default();
    let each: Vec<_> = (0..input.len()).collect();
    let stream = assert_same_however_split(role, limits, input, &each);
    let mut rng = SeededRng::new(input.len() as u64);
    for _ in 0..RANDOM_SPLITS {
        let cuts = rng.below(8);
        let mut lengths: Vec<_> = (0..cuts).map(|_| rng.below(input.len() as u64 + 1) as usize).collect();
        lengths.sort_unstable();
        assert_same_however_split(role, limits, input, &lengths);
    }
    let mut said: Vec<Said> = stream.events().iter().filter_map(saying).collect();
    let rest = stream.rest(input);
    let left = match rest {
        Rest::Over(left) => left,
        _ => stream.unread(input),
    };
    let is_more = input[input.len() - left..].iter().any(|byte| !b"\r\n".contains(byte));
    match (rest, stream.events().last()) {
        (Rest::Over(_), Some(Event::Close)) if is_more => said.push(Said::NotRead),
        (Rest::Head, _) if is_more => said.push(Said::Unfinished),
        _ => {}
    }
    let error = match stream.events().last() {
        Some(Event::Error(error)) => Some(*error),
        _ => None,
    };
    Verdict { said, error, head_at: input.len() - stream.unread(input) }
}

fn saying(event: &Event) -> Option<Said> {
    Some(match event {
        Event::Head(Head { start, encoded, .. }) => Said::Head(start.clone(), fields(encoded, 1)),
        Event::Data(data) => Said::Data(data.clone()),
        Event::End(trailers) => Said::End(fields(trailers, 0)),
        Event::Switch => Said::Switch,
        Event::Connect => Said::Connect,
        Event::Error(error) => Said::Refused(error.to_string()),
        Event::Close => return None,
    })
}

/// The field lines of what Aya writes, behind so many other lines.
fn fields(encoded: &[u8], skipped: usize) -> Vec<Field> {
    let lines = encoded.split(|&byte| byte == b'\n').skip(skipped);
    let split = |line: &[u8]| {
        let colon = line.iter().position(|&byte| byte == b':')?;
        Some((line[..colon].to_vec(), line[colon + 1..].trim_ascii().to_vec()))
    };
    lines.filter_map(split).collect()
}
