//! What the control side shares: its tasks and its locks.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Runs a task of the control side. The one place that spawns there, so that nothing runs unseen: a panic is logged.
#[expect(clippy::disallowed_methods, reason = "the tracked helper itself")]
pub(crate) fn tracked(task: impl Future<Output = ()> + Send + 'static) {
    let handle = tokio::spawn(task);
    tokio::spawn(async move {
        if let Err(error) = handle.await {
            tracing::error!(target: "aya::control", %error, "a control task ended");
        }
    });
}

/// Locks what the control side shares. A panic elsewhere does not make the data wrong: each holder leaves it whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
