//! Connections that are lent, and used again only if they come back.

use std::{
    future::Future,
    ops::{Deref, DerefMut},
    sync::Arc,
    time::Duration,
};

use chat_core::{StoreError, StoreErrorKind};
use parking_lot::Mutex;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};

/// How long to wait for a connection, or for a server to take one: 5 s, as long as a sender waits for the engine.
const LENT_WITHIN: Duration = Duration::from_secs(5);

/// A connection that lay idle for longer is asked whether it still is one: 1 s. Asking each time would double the round trips.
const TRUSTED_FOR: Duration = Duration::from_secs(1);

/// Is a bounded number of connections.
///
/// sqlx's own pool takes any connection back and tries to mend it; here one comes back only by
/// [`Lent::give_back`], after a call that ended well. Whatever else happens to it (an error, a caller who leaves, a panic),
/// it is dropped, and the server ends what it was in.
pub(crate) struct Pool<C> {
    idle: Idle<C>,
    permits: Arc<Semaphore>,
}

type Idle<C> = Arc<Mutex<Vec<(C, Instant)>>>;

/// Is a connection that is lent.
pub(crate) struct Lent<C> {
    connection: C,
    idle: Idle<C>,
    _permit: OwnedSemaphorePermit,
}

impl<C: sqlx::Connection> Pool<C> {
    pub(crate) fn new(size: u32) -> Self {
        let permits = Arc::new(Semaphore::new(size.try_into().unwrap_or(Semaphore::MAX_PERMITS)));
        Self { idle: Arc::default(), permits }
    }

    /// Lends a connection, which is made by `connect` if none is idle. Whoever waits takes little memory: drivers' calls are boxed.
    pub(crate) async fn lend<F>(&self, connect: impl FnOnce() -> F) -> Result<Lent<C>, StoreError>
    where
        F: Future<Output = Result<C, StoreError>>,
    {
        let unavailable = |what: &str| StoreError::new(StoreErrorKind::Unavailable, what);
        let permit = timeout(LENT_WITHIN, self.permits.clone().acquire_owned()).await;
        let permit = permit.ok().and_then(Result::ok).ok_or_else(|| unavailable("wait for a connection"))?;
        let connection = match self.take().await {
            Some(connection) => connection,
            None => timeout(LENT_WITHIN, Box::pin(connect())).await.map_err(|_| unavailable("connect"))??,
        };
        Ok(Lent { connection, idle: self.idle.clone(), _permit: permit })
    }

    async fn take(&self) -> Option<C> {
        let (mut connection, since) = self.idle.lock().pop()?;
        if since.elapsed() < TRUSTED_FOR || matches!(timeout(TRUSTED_FOR, connection.ping()).await, Ok(Ok(()))) {
            return Some(connection);
        }
        self.idle.lock().clear(); // the server was away, and the others are no better
        None
    }
}

impl<C> Lent<C> {
    /// Lets others use the connection, on which nothing is under way.
    pub(crate) fn give_back(self) {
        self.idle.lock().push((self.connection, Instant::now()));
    }
}

impl<C> Deref for Lent<C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.connection
    }
}

impl<C> DerefMut for Lent<C> {
    fn deref_mut(&mut self) -> &mut C {
        &mut self.connection
    }
}
