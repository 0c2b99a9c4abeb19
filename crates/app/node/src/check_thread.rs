//! The thread that asks endpoints after their health.

use std::io;
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// A runtime of one thread, until it is dropped. Checks are many and small: handing them from thread to thread costs more than
/// they do, and whoever asks the admin port waits for none of them.
pub(crate) struct CheckThread {
    handle: Handle,
    _stop: oneshot::Sender<()>,
}

impl CheckThread {
    /// Starts it.
    ///
    /// # Errors
    /// If the system gives no thread, or no descriptor.
    pub(crate) fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        thread::Builder::new().name("aya-checks".to_owned()).spawn(move || {
            // It ends when the sender goes.
            let _ = runtime.block_on(stopped);
            // A look-up that does not end is not waited for.
            runtime.shutdown_background();
        })?;
        Ok(Self { handle, _stop: stop })
    }

    /// Where tasks are put.
    pub(crate) const fn handle(&self) -> &Handle {
        &self.handle
    }
}
