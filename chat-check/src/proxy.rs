//! A TCP proxy that breaks connections on purpose, and that can be told to do so while it runs.
//!
//! ```no_run
//! use chat_check::proxy::{Proxy, Way};
//! use std::time::Duration;
//!
//! # async fn run() -> std::io::Result<()> {
//! let proxy = Proxy::to("127.0.0.1:8080".parse().unwrap()).await?;
//! // … let a client connect to `proxy.address()`, then:
//! proxy.answers(Way::Delay(Duration::from_millis(300)));
//! proxy.cut();
//! # Ok(())
//! # }
//! ```

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpSocket, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::{mpsc, watch},
    time::{Instant, sleep, sleep_until},
};

/// Is what happens to bytes in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Way {
    /// They go through.
    #[default]
    Pass,
    /// They go through this much later.
    Delay(Duration),
    /// So many of them go through in a second.
    Bandwidth(u32),
    /// They are not even read: whoever sends them finds the line full.
    Hold,
    /// They vanish, and nobody is told. A connection that lost some stays silent in that direction until it ends:
    /// what came later would be nonsense.
    Swallow,
}

/// Sees the bytes of one connection before they go on.
pub trait Watch: Send {
    /// Sees what the client says. `false` cuts the connection, and the bytes do not arrive.
    fn asked(&mut self, bytes: &[u8]) -> bool;

    /// Sees what the server says. `false` cuts the connection, and the bytes do not arrive.
    fn answered(&mut self, bytes: &[u8]) -> bool;

    /// Sees that the server has ended the connection.
    fn hung_up(&mut self);
}

/// Makes a [`Watch`] for each connection.
pub type Watcher = Arc<dyn Fn() -> Box<dyn Watch> + Send + Sync>;

#[derive(Clone, Debug)]
struct State {
    /// Never empty. Connections take them in turn.
    targets: Arc<[SocketAddr]>,
    /// How much of what a server says the kernel takes before anybody reads it; without one, what it likes.
    receive_buffer: Option<u32>,
    refuses: bool,
    asked: Way,
    answers: Way,
    /// Connections of an earlier era are broken, those of a reset era with a reset.
    era: u64,
    reset_era: u64,
    half_era: u64,
}

/// Is the proxy. Clones are the same one; with the last of them it ends, and all its connections do.
#[derive(Clone, Debug)]
pub struct Proxy {
    address: SocketAddr,
    state: Arc<watch::Sender<State>>,
    /// Counts connections: whose turn it is.
    turn: Arc<AtomicUsize>,
}

impl Proxy {
    /// Listens on a free port of this machine, and leads to `target`.
    ///
    /// # Errors
    /// If no port is free.
    pub async fn to(target: SocketAddr) -> io::Result<Self> {
        Self::watched(target, Arc::new(|| Box::new(Blind))).await
    }

    /// Does the same, and shows all bytes to a watcher.
    ///
    /// # Errors
    /// If no port is free.
    pub async fn watched(target: SocketAddr, watcher: Watcher) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (receive_buffer, asked, answers) = Default::default();
        let (targets, refuses, turn) = ([target].into(), false, Arc::<AtomicUsize>::default());
        let state = State { targets, receive_buffer, refuses, asked, answers, era: 0, reset_era: 0, half_era: 0 };
        let state = watch::Sender::new(state);
        tokio::spawn(listen(listener, state.subscribe(), turn.clone(), watcher));
        Ok(Self { address, state: Arc::new(state), turn })
    }

    /// Returns where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Leads new connections to another server.
    pub fn lead_to(&self, target: SocketAddr) {
        self.lead_to_each([target], 0);
    }

    /// Leads new connections to several servers in turn, whether or not they are there. The next connection goes to
    /// the one that comes `first` if they are counted round and round. Without a server nothing changes.
    pub fn lead_to_each(&self, targets: impl Into<Arc<[SocketAddr]>>, first: usize) {
        let targets = targets.into();
        if !targets.is_empty() {
            self.turn.store(first, Relaxed);
            self.state.send_modify(|state| state.targets = targets);
        }
    }

    /// Leads new connections to the same servers at other addresses.
    pub fn moved(&self, targets: impl Into<Arc<[SocketAddr]>>) {
        self.lead_to_each(targets, self.turn.load(Relaxed));
    }

    /// Gives new connections to the server so small a receive buffer, in bytes.
    pub fn receive_buffer(&self, bytes: u32) {
        self.state.send_modify(|state| state.receive_buffer = Some(bytes));
    }

    /// Breaks new connections at once, or lets them through again.
    pub fn refuse(&self, refuses: bool) {
        self.state.send_modify(|state| state.refuses = refuses);
    }

    /// Says what happens to what clients say.
    pub fn requests(&self, way: Way) {
        self.state.send_modify(|state| state.asked = way);
    }

    /// Says what happens to what the server says.
    pub fn answers(&self, way: Way) {
        self.state.send_modify(|state| state.answers = way);
    }

    /// Ends all connections as if both sides had closed them.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.era += 1);
    }

    /// Ends all connections with a TCP reset, to both sides.
    pub fn reset(&self) {
        self.state.send_modify(|state| (state.era, state.reset_era) = (state.era + 1, state.era + 1));
    }

    /// Tells all clients that the server says no more, although they may still speak to it.
    pub fn half_close(&self) {
        self.state.send_modify(|state| state.half_era += 1);
    }
}

/// Sees nothing.
struct Blind;

impl Watch for Blind {
    fn asked(&mut self, _: &[u8]) -> bool {
        true
    }

    fn answered(&mut self, _: &[u8]) -> bool {
        true
    }

    fn hung_up(&mut self) {}
}

async fn listen(listener: TcpListener, mut state: watch::Receiver<State>, turn: Arc<AtomicUsize>, watcher: Watcher) {
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((client, _)) = accepted && !state.borrow().refuses {
                    tokio::spawn(carry(client, state.clone(), turn.fetch_add(1, Relaxed), watcher.clone()));
                }
            }
            changed = state.changed() => if changed.is_err() { return },
        }
    }
}

async fn connect(state: &State, turn: usize) -> io::Result<TcpStream> {
    let target = state.targets[turn % state.targets.len()];
    let socket = if target.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    if let Some(bytes) = state.receive_buffer {
        socket.set_recv_buffer_size(bytes)?;
    }
    socket.connect(target).await
}

async fn carry(mut client: TcpStream, mut state: watch::Receiver<State>, turn: usize, watcher: Watcher) {
    let begin = state.borrow().clone();
    let Ok(mut server) = connect(&begin, turn).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let watch = Mutex::new(watcher());
    {
        let (client_in, client_out) = client.split();
        let (server_in, server_out) = server.split();
        let up = Pump { state: state.clone(), way: |state| state.asked, half_era: None };
        let down = Pump { state: state.clone(), way: |state| state.answers, half_era: Some(begin.half_era) };
        let up = up.run(client_in, server_out, |bytes| watch.lock().asked(bytes), || ());
        let down = down.run(server_in, client_out, |bytes| watch.lock().answered(bytes), || watch.lock().hung_up());
        // A server that takes nothing more may still have said something, which the client is to hear.
        let up = async { up.await.or_else(|error| if is_cut(&error) { Err(error) } else { Ok(()) }) };
        tokio::select! {
            _ = async { tokio::try_join!(up, down) } => {}
            _ = state.wait_for(|state| state.era != begin.era) => {}
        }
    }
    if state.borrow().reset_era > begin.era {
        let _ = (client.set_zero_linger(), server.set_zero_linger());
    }
}

/// Says that a watcher wants the connection to end here and now. No socket that is connected says this.
const CUT: io::ErrorKind = io::ErrorKind::ConnectionAborted;

fn is_cut(error: &io::Error) -> bool {
    error.kind() == CUT
}

/// Carries one direction.
struct Pump {
    state: watch::Receiver<State>,
    way: fn(&State) -> Way,
    /// In the direction that can be closed alone: the era in which it is open.
    half_era: Option<u64>,
}

/// What waits to be written late: chunks of at most 4 KiB. Thousands of connections have two buffers of this size each.
const WAITING_MAX: usize = 256;
const CHUNK_BYTES: usize = 4 * 1024;
/// A narrow line carries its bytes in so many small pieces a second.
const PIECES_PER_SECOND: u32 = 20;

impl Pump {
    /// Carries until the end of what is read, or of what can be written; then says so to the other side.
    async fn run(
        self,
        from: ReadHalf<'_>,
        mut to: WriteHalf<'_>,
        seen: impl FnMut(&[u8]) -> bool,
        ended: impl FnOnce(),
    ) -> io::Result<()> {
        let (queue, mut due) = mpsc::channel::<(Instant, Vec<u8>)>(WAITING_MAX);
        let (state, half_era) = (self.state.clone(), self.half_era);
        let write = async {
            while let Some((at, bytes)) = due.recv().await {
                if at > Instant::now() {
                    sleep_until(at).await; // a timer takes a millisecond even for what is due
                }
                to.write_all(&bytes).await?;
            }
            Ok(())
        };
        let read = self.read(from, queue, seen, ended);
        let carried = async {
            let (is_cut, ()) = tokio::try_join!(read, write)?;
            if is_cut { Err(CUT.into()) } else { Ok(()) }
        };
        let done = tokio::select! {
            done = carried => done,
            () = half_closed(state, half_era) => Ok(()),
        };
        let closed = to.shutdown().await;
        done.and(closed)
    }

    /// Reads to the end. Returns whether a watcher made the end; what was read before that arrives.
    async fn read(
        &self,
        mut from: ReadHalf<'_>,
        queue: mpsc::Sender<(Instant, Vec<u8>)>,
        mut seen: impl FnMut(&[u8]) -> bool,
        ended: impl FnOnce(),
    ) -> io::Result<bool> {
        let mut buffer = vec![0; CHUNK_BYTES];
        let mut silent = false;
        loop {
            self.held().await;
            let most = match self.way() {
                Way::Bandwidth(rate) => (rate / PIECES_PER_SECOND).clamp(1, 1024) as usize,
                _ => CHUNK_BYTES,
            };
            let Ok(count @ 1..) = from.read(&mut buffer[..most]).await else {
                ended();
                return Ok(false); // also after an error: what was read before arrives
            };
            if !seen(&buffer[..count]) {
                return Ok(true);
            }
            self.held().await;
            let way = self.way(); // it may have changed while nothing came
            silent |= way == Way::Swallow;
            if let Way::Bandwidth(rate) = way {
                sleep(Duration::from_secs(1) / rate.max(1) * u32::try_from(count).unwrap_or(u32::MAX)).await;
            }
            let delay = if let Way::Delay(delay) = way { delay } else { Duration::ZERO };
            if !silent && queue.send((Instant::now() + delay, buffer[..count].to_vec())).await.is_err() {
                return Ok(false); // the writer has failed, and says so itself
            }
        }
    }

    /// Waits as long as nothing is to go through. Who ends the proxy ends the connection, too.
    async fn held(&self) {
        if self.way() == Way::Hold {
            let _ = self.state.clone().wait_for(|state| (self.way)(state) != Way::Hold).await;
        }
    }

    fn way(&self) -> Way {
        (self.way)(&self.state.borrow())
    }
}

async fn half_closed(mut state: watch::Receiver<State>, era: Option<u64>) {
    match era {
        Some(era) => drop(state.wait_for(|state| state.half_era != era).await),
        None => std::future::pending().await,
    }
}
