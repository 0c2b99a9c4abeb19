//! `agent`: a program beside the endpoint says in one line how it is.
//!
//! The protocol is HAProxy's (configuration manual, `agent-check`): connect, perhaps send a line, read one. It is made of
//! words between blanks, tabs and commas; what follows a `#` is for people.

use base_kit::{KindInfo, Status};
use base_model::model::{ActiveCheck, CheckKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use traffic_balance::{AdminState, MAX_AGENT_PERCENT, Resources};

use crate::probe::{
    AgentWords, Passed, Probe, ProbeFailure, ProbeFuture, ProbeKind, Target, UnfitCheck, excerpt,
};

/// The kind.
pub(super) struct AgentKind;

/// The longest line: a handful of words and a description. What is longer is something else than an agent.
const MAX_LINE_BYTES: usize = 256;

impl ProbeKind for AgentKind {
    fn info(&self) -> KindInfo {
        KindInfo {
            name: "agent",
            summary: "An agent beside the endpoint does not say `down`, `fail` or `stopped` in HAProxy's agent protocol; \
                      it may also drain the endpoint and set its share of weight. One that is silent changes nothing.",
            status: Status::Stable,
        }
    }

    fn build(&self, check: &ActiveCheck) -> Option<Result<Box<dyn Probe>, UnfitCheck>> {
        match &check.kind {
            CheckKind::Agent { send } => {
                let greeting = send.as_ref().map(|line| format!("{line}\n"));
                Some(Ok(Box::new(AgentProbe { greeting })))
            }
            _ => None,
        }
    }
}

struct AgentProbe {
    /// With its line end.
    greeting: Option<String>,
}

impl AgentProbe {
    async fn ask(&self, target: &Target) -> Result<Passed, ProbeFailure> {
        let mut stream = target.connect().await?;
        if let Some(greeting) = &self.greeting {
            // An agent may speak and close without listening: what it says counts.
            let _ = stream.write_all(greeting.as_bytes()).await;
        }
        let line = read_line(&mut stream).await?;
        AgentWords::parse(&line).map(Passed::Said).ok_or_else(|| {
            ProbeFailure::NotUnderstood(format!("no word of an agent in `{}`", excerpt(line.as_bytes())))
        })
    }
}

impl Probe for AgentProbe {
    fn run<'probe>(&'probe self, target: &'probe Target) -> ProbeFuture<'probe> {
        Box::pin(self.ask(target))
    }

    fn failure_counts(&self) -> bool {
        false
    }
}

/// What comes before the first line end, or before the agent closes.
async fn read_line(stream: &mut TcpStream) -> Result<String, ProbeFailure> {
    let mut received = [0; MAX_LINE_BYTES];
    let mut length = 0;
    loop {
        let room = received.get_mut(length..).filter(|room| !room.is_empty());
        let Some(room) = room else {
            return Err(ProbeFailure::NotUnderstood(format!("a line of more than {MAX_LINE_BYTES} bytes")));
        };
        let count = match stream.read(room).await {
            Ok(count) => count,
            // Whoever closes without reading what was sent breaks the connection; what was said before counts.
            Err(_) if length > 0 => 0,
            Err(error) => return Err(ProbeFailure::Broken(error.to_string())),
        };
        length += count;
        if length == 0 {
            return Err(ProbeFailure::Closed("before the answer"));
        }
        let so_far = received.get(..length).unwrap_or_default();
        let end = so_far.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
        if let Some(line) = so_far.get(..end.unwrap_or(length)).filter(|_| end.is_some() || count == 0) {
            return Ok(String::from_utf8_lossy(line).into_owned());
        }
    }
}

impl AgentWords {
    /// What a line says; `None` if nothing in it is known. Of words that contradict each other the last one holds.
    pub fn parse(line: &str) -> Option<Self> {
        let mut said = Self {
            percent: None,
            state: None,
            up: None,
            resources: Resources::default(),
            line: excerpt(line.as_bytes()),
        };
        let mut known = false;
        let spoken = line.split('#').next().unwrap_or_default();
        for word in spoken.split([' ', '\t', ',']).filter(|word| !word.is_empty()) {
            match word.to_ascii_lowercase().as_str() {
                "up" => said.up = Some(true),
                "down" | "fail" | "failed" | "stopped" => said.up = Some(false),
                "ready" => said.state = Some(AdminState::Ready),
                "drain" => said.state = Some(AdminState::Drain),
                "maint" => said.state = Some(AdminState::Maintenance),
                // Valid, and of no effect: connections are limited by the pool's own settings.
                word if word.strip_prefix("maxconn:").is_some_and(is_number) => {}
                word if hear_resource(word, &mut said.resources) => {}
                word => match word.strip_suffix('%').filter(|number| is_number(number)) {
                    // What is too large even for the type is as good as the largest.
                    Some(number) => {
                        said.percent = Some(number.parse().unwrap_or(u32::MAX).min(MAX_AGENT_PERCENT));
                    }
                    None => continue,
                },
            }
            known = true;
        }
        known.then_some(said)
    }
}

/// Takes in `cpu:45%`, `mem:70%` (or `memory:`) or `io:10%`, with or without a fraction; whether the word is one of them.
fn hear_resource(word: &str, said: &mut Resources) -> bool {
    let Some((name, value)) = word.split_once(':') else { return false };
    let number = value.strip_suffix('%').filter(|number| {
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        is_number(whole) && is_number(fraction)
    });
    let Some(percent) = number.and_then(|number| number.parse::<f64>().ok()) else { return false };
    let resource = match name {
        "cpu" => &mut said.cpu,
        "mem" | "memory" => &mut said.memory,
        "io" => &mut said.io,
        _ => return false,
    };
    *resource = Some(percent / 100.0);
    true
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a line says, as `percent state up`, with `-` for what it does not say.
    fn said(line: &str) -> String {
        let Some(AgentWords { percent, state, up, .. }) = AgentWords::parse(line) else {
            return "nothing".to_owned();
        };
        let word = |word: Option<String>| word.unwrap_or_else(|| "-".to_owned());
        let state = state.map(|state| state.word().to_owned());
        let up = up.map(|up| if up { "up" } else { "down" }.to_owned());
        format!("{} {} {}", word(percent.map(|percent| percent.to_string())), word(state), word(up))
    }

    #[test]
    fn the_words_of_the_protocol() {
        for (line, expected) in [
            ("75%", "75 - -"),
            ("0%", "0 - -"),
            ("up", "- - up"),
            ("UP 75%", "75 - up"),
            ("ready,up,\t100%", "100 ready up"),
            ("75%,maxconn:30,maint,down", "75 maintenance down"),
            ("Drain", "- drain -"),
            ("down #disk full, not up", "- - down"),
            ("failed", "- - down"),
            ("fail", "- - down"),
            ("stopped#for good", "- - down"),
            ("maxconn:30", "- - -"),
            ("up down", "- - down"),
            ("10% 20%", "20 - -"),
            ("99999999999%", "1000 - -"),
            ("up hello", "- - up"),
        ] {
            assert_eq!(said(line), expected, "{line}");
        }
    }

    #[test]
    fn what_the_machine_has_in_use() {
        let resources = |line: &str| AgentWords::parse(line).unwrap().resources;
        let all = Resources { cpu: Some(0.45), memory: Some(0.7), io: Some(0.105) };
        assert_eq!(resources("cpu:45% mem:70% io:10.5%"), all);
        assert_eq!(resources("up,75%,IO:10.5%,Memory:70%,CPU:45% # fine"), all);
        assert_eq!(resources("75%"), Resources::default());
        assert_eq!(AgentWords::parse("75% cpu:45%").unwrap().percent, Some(75));
        assert_eq!(resources("cpu:250% up").cpu, Some(2.5), "as some count cores");
        for line in ["cpu:", "cpu:45", "cpu:x%", "cpu:-1%", "cpu:1.%", "cpu:inf%", "gpu:10%", ":10%", "cpu:%"]
        {
            assert_eq!(said(line), "nothing", "{line}");
        }
    }

    #[test]
    fn what_is_no_word_says_nothing() {
        for line in [
            "",
            " , ",
            "hello",
            "75",
            "%",
            "-5%",
            "7.5%",
            "7x%",
            "maxconn:",
            "maxconn:x",
            "# up",
            "HTTP/1.1 400 Bad",
        ] {
            assert_eq!(said(line), "nothing", "{line}");
        }
    }
}
