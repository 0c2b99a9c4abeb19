//! Asking an Aya for its counts.

use std::time::Duration;

use base_model::model::Secret;
use thiserror::Error;

use super::reading::Reading;
use crate::admin::{self, Refusal, TOKEN_VARIABLE, Target};

/// What is asked for.
const PATH: &str = "/api/v1/stats";
/// No answer in this time is none.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks an admin port for its counts.
pub(super) struct Client(admin::Client);

/// Why there are no figures.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub(super) struct NoAnswer(pub(super) String);

impl From<admin::NoAnswer> for NoAnswer {
    fn from(none: admin::NoAnswer) -> Self {
        Self(match none {
            admin::NoAnswer::Late(patience) => format!("no answer in {patience:?}"),
            // The number says nothing that the words do not.
            admin::NoAnswer::Broken(error) => {
                error.to_string().split(" (os error").next().unwrap_or_default().to_lowercase()
            }
            admin::NoAnswer::Refused(refusal) => meaning(&refusal),
            admin::NoAnswer::NotUnderstood(error) => no_stats(&error.to_string()),
        })
    }
}

impl Client {
    pub(super) fn new(target: Target, token: Option<Secret>) -> Self {
        Self(admin::Client::new(target, token, PATIENCE))
    }

    /// The counts at this moment.
    pub(super) async fn fetch(&mut self) -> Result<Reading, NoAnswer> {
        let reading: Reading = self.0.get(PATH).await?;
        // Any JSON would do: what is missing is left out.
        if reading.clock_us == 0 { Err(NoAnswer(no_stats("it has no time"))) } else { Ok(reading) }
    }
}

fn no_stats(why: &str) -> String {
    format!("what it says at {PATH} is no answer of an Aya: {why}")
}

/// What an answer other than 200 means here.
fn meaning(Refusal { status, detail, has_token, .. }: &Refusal) -> String {
    match (status.as_str(), has_token) {
        ("401", false) => format!("it wants a token: give --token-file FILE, or set {TOKEN_VARIABLE}"),
        ("401", true) => "it does not take this token".to_owned(),
        ("404", _) => format!("it has no {PATH}: not the admin port of an Aya, or of an older one"),
        _ if detail.is_empty() => format!("it answers with status {status}"),
        _ => format!("it answers with status {status}: {detail}"),
    }
}
