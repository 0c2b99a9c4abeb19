//! How many files the process may have open: each connection is one.

use base_model::Model;
use rustix::process::{Resource, getrlimit, setrlimit};

use crate::cores::usable_cores;

/// Files that are no connections: logs, the admin port, health checks under way.
const OTHER_FILES: u64 = 96;
/// What a worker has open beside connections and its sockets to listen on.
const FILES_OF_A_WORKER: u64 = 8;
/// A request takes a connection from the client and one to an endpoint.
const FILES_PER_CONNECTION: u64 = 2;

/// What a listener takes at most that does not say how many.
const MOST_CONNECTIONS: u64 = 100_000;

/// The part of all files that health checks may keep connections with, however many the listeners take.
const SHARE_OF_CHECKS: u64 = 8;
/// Checks under way at once at most.
const MOST_AT_ONCE: u64 = 1_024;
/// What they keep at most, however many files there are.
const MOST_OF_CHECKS: u64 = 65_536;

/// Connections that health checks may keep from one question to the next.
pub(crate) fn kept_by_checks(model: &Model) -> usize {
    let kept = getrlimit(Resource::Nofile)
        .current
        .map_or(MOST_OF_CHECKS, |files| left_to_checks(files, others(model), connections(model)));
    usize::try_from(kept).unwrap_or_default()
}

/// Checks under way at once: some of the files, so that many endpoints that do not answer do not hold up the others.
pub(crate) fn checks_at_once() -> usize {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from((files / SHARE_OF_CHECKS).min(MOST_AT_ONCE)).unwrap_or_default()
}

/// What the listeners' connections leave of so many files, and a share in any case.
fn left_to_checks(files: u64, others: u64, connections: u64) -> u64 {
    let left = files.saturating_sub(others).saturating_sub(FILES_PER_CONNECTION * connections);
    left.max(files / SHARE_OF_CHECKS).min(MOST_OF_CHECKS)
}

/// Raises the soft limit of open files to the hard one. The low soft limit that systems set is for programs that use `select`.
pub fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(target: "aya::node", %error, "the limit of open files cannot be raised");
    }
}

/// Gives the listeners that say nothing of it as many connections as there are files for: those that others have asked for, and those that
/// checks keep in any case, come first.
pub(crate) fn share_out(model: &mut Model) {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let for_checks = checked(model).min(files / SHARE_OF_CHECKS);
    let rest = possible(files - for_checks, others(model)).saturating_sub(connections(model));
    let open = || model.listeners.iter().filter(|listener| listener.max_connections.is_none());
    let each = each_of(rest, open().count() as u64);
    model.listeners.iter_mut().for_each(|listener| {
        listener.max_connections.get_or_insert(each);
    });
}

/// The share of each of so many listeners.
fn each_of(connections: u64, listeners: u64) -> u32 {
    let each = (connections / listeners.max(1)).clamp(1, MOST_CONNECTIONS);
    u32::try_from(each).unwrap_or(u32::MAX)
}

/// Checks of endpoints.
fn checked(model: &Model) -> u64 {
    model.pools.iter().map(|pool| (pool.endpoints.len() * pool.checks.len()) as u64).sum()
}

/// Says so when the listeners take more connections than there can be files for.
pub(crate) fn warn_if_too_few(model: &Model) {
    let connections = connections(model);
    // No limit, no warning.
    let Some(files) = getrlimit(Resource::Nofile).current else { return };
    let kept = checked(model).min(kept_by_checks(model) as u64);
    if let Some(possible) = shortage(connections, possible(files - kept, others(model))) {
        tracing::warn!(
            target: "aya::node",
            "listeners take up to {connections} connections (`max-connections`), but the limit of {files} open files is \
             enough for {possible}; raise it (`LimitNOFILE=`, `ulimit -n`) or lower `max-connections`"
        );
    }
}

/// Connections that the listeners take at most.
pub(crate) fn connections(model: &Model) -> u64 {
    model.listeners.iter().filter_map(|listener| listener.max_connections).map(u64::from).sum()
}

/// Files that are neither clients' connections nor those of endpoints.
fn others(model: &Model) -> u64 {
    let workers = model.operation.workers.unwrap_or_else(usable_cores).get() as u64;
    OTHER_FILES + workers * (FILES_OF_A_WORKER + model.listeners.len() as u64)
}

/// How many connections are possible, if that is fewer than wanted.
const fn shortage(connections: u64, possible: u64) -> Option<u64> {
    if connections > possible { Some(possible) } else { None }
}

/// Connections that so many files are enough for, when so many are taken by others.
const fn possible(files: u64, others: u64) -> u64 {
    files.saturating_sub(others) / FILES_PER_CONNECTION
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_files_a_connection_and_some_for_the_rest() {
        assert_eq!(shortage(462, possible(1_024, 100)), None);
        assert_eq!(shortage(463, possible(1_024, 100)), Some(462));
        assert_eq!(shortage(1, possible(100, 110)), Some(0));
    }

    #[test]
    fn listeners_share_what_there_is() {
        assert_eq!(each_of(possible(20_000, 100), 1), 9_950);
        assert_eq!(each_of(possible(20_000, 100), 3), 3_316);
        assert_eq!(each_of(possible(1_048_576, 100), 1), 100_000);
        assert_eq!(each_of(possible(100, 110), 2), 1, "some, whatever comes of it");
    }

    #[test]
    fn checks_keep_what_connections_leave_and_an_eighth_at_least() {
        assert_eq!(left_to_checks(20_000, 100, 1_000), 20_000 - 100 - 2_000);
        assert_eq!(left_to_checks(20_000, 100, 100_000), 2_500);
        assert_eq!(left_to_checks(1_000_000, 100, 100_000), MOST_OF_CHECKS);
        assert_eq!(left_to_checks(100, 110, 0), 12);
    }

    #[test]
    fn the_limit_is_raised_as_far_as_it_may_be() {
        raise_file_limit();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
    }
}
