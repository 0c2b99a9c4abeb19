//! `exec`: a program finds out whether the endpoint is fit.
//!
//! It runs in a process group of its own, with nothing of this process's environment but `PATH`. When its time is over, or the
//! check is taken away, the whole group is killed. What it leaves in the background after it ended is left alone.

use std::ffi::OsString;
use std::io::{self, PipeWriter};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use base_kit::{KindInfo, Status};
use base_model::model::{ActiveCheck, CheckKind};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, Command};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::probe::{
    MOST_PLACES, Passed, Probe, ProbeFailure, ProbeFuture, ProbeKind, Target, UnfitCheck, excerpt,
};

/// The kind.
pub(super) struct ExecKind;

/// How much of the output is kept: more than is shown of its first line. The rest is read and dropped, so that no program
/// waits for somebody to read.
const MAX_OUTPUT_BYTES: usize = 4 * 1024;

/// One read takes at most this much.
const READ_BYTES: usize = 4 * 1024;

/// How long the output may stay open after the program ended, by something it left in the background. The last words of the
/// program itself are in the pipe by then.
const OUTPUT_GRACE: Duration = Duration::from_millis(100);

impl ProbeKind for ExecKind {
    fn info(&self) -> KindInfo {
        KindInfo {
            name: "exec",
            summary: "A program that is run for the endpoint ends with exit status 0.",
            status: Status::Stable,
        }
    }

    fn build(&self, check: &ActiveCheck) -> Option<Result<Box<dyn Probe>, UnfitCheck>> {
        match &check.kind {
            CheckKind::Exec { program, arguments } => Some(Ok(Box::new(ExecProbe {
                program: Arc::clone(program),
                arguments: arguments.clone(),
                path: std::env::var_os("PATH"),
            }))),
            _ => None,
        }
    }
}

struct ExecProbe {
    program: Arc<str>,
    arguments: Vec<Arc<str>>,
    /// Where programs are looked for.
    path: Option<OsString>,
}

impl ExecProbe {
    async fn ask(&self, target: &Target) -> Result<Passed, ProbeFailure> {
        let (output, input) = io::pipe().map_err(|error| self.not_started(&error))?;
        let mut output =
            Receiver::from_owned_fd(OwnedFd::from(output)).map_err(|error| self.not_started(&error))?;
        let mut running = self.start(target, input).await?;
        let mut kept = Vec::new();
        let ended = tokio::select! {
            ended = running.0.wait() => ended,
            () = read_out(&mut output, &mut kept) => running.0.wait().await,
        };
        let status = ended.map_err(|error| ProbeFailure::OwnFault(error.to_string()))?;
        let _ = timeout(OUTPUT_GRACE, read_out(&mut output, &mut kept)).await;
        let said = excerpt(&kept);
        if status.success() {
            return Ok(Passed::Exited(said));
        }
        Err(ProbeFailure::Exited { how: how(status), said })
    }

    /// Starts the program on a thread where waiting does no harm: its file may lie on a disk that is slow.
    async fn start(&self, target: &Target, output: PipeWriter) -> Result<Running, ProbeFailure> {
        let errors = output.try_clone().map_err(|error| self.not_started(&error))?;
        let mut command = Command::new(&*self.program);
        command.args(self.arguments.iter().map(|argument| &**argument)).env_clear();
        command.envs(self.path.as_ref().map(|path| ("PATH", path)));
        command
            .env("AYA_POOL", &target.pool)
            .env("AYA_ENDPOINT", &target.endpoint)
            .env("AYA_ADDRESS", target.address.ip().to_string())
            .env("AYA_PORT", target.address.port().to_string());
        command.stdin(Stdio::null()).stdout(output).stderr(errors).process_group(0);
        // Given up meanwhile, it is killed as soon as it runs. The pipe's end of this process goes with the command.
        let started = spawn_blocking(move || command.spawn().map(Running)).await;
        let started = started.map_err(|error| ProbeFailure::OwnFault(error.to_string()))?;
        started.map_err(|error| self.not_started(&error))
    }

    fn not_started(&self, error: &io::Error) -> ProbeFailure {
        ProbeFailure::of_start(&self.program, error)
    }
}

impl Probe for ExecProbe {
    fn run<'probe>(&'probe self, target: &'probe Target) -> ProbeFuture<'probe> {
        Box::pin(self.ask(target))
    }

    /// A process and its pipe are more than a connection.
    fn places(&self) -> u32 {
        MOST_PLACES
    }
}

/// A program that runs. Dropping it kills its process group; the runtime then takes its exit status.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It has a number only until its exit status is taken, so the number is still its own.
        let id = self.0.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(group) = id {
            // It may have ended by itself at this moment.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Reads until nobody writes any more, and keeps the first bytes.
async fn read_out(output: &mut Receiver, kept: &mut Vec<u8>) {
    let mut chunk = [0; READ_BYTES];
    while let Ok(count @ 1..) = output.read(&mut chunk).await {
        let room = MAX_OUTPUT_BYTES.saturating_sub(kept.len());
        kept.extend_from_slice(chunk.get(..count.min(room)).unwrap_or_default());
    }
}

fn how(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("ended by signal {signal}"),
        (None, None) => status.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_told_by_its_status_or_its_signal() {
        // As the system call gives them: the status in the second byte, the signal in the first.
        assert_eq!(how(ExitStatus::from_raw(7 << 8)), "exit status 7");
        assert_eq!(how(ExitStatus::from_raw(15)), "ended by signal 15");
    }
}
