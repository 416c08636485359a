//! A TCP proxy that cuts, refuses, swallows answers, and leads elsewhere.

use std::{net::SocketAddr, sync::Arc};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

#[derive(Clone, Debug)]
struct State {
    target: SocketAddr,
    refuses: bool,
    swallows_answers: bool,
    /// Connections of an earlier era are cut.
    era: u64,
}

/// Is the proxy. Clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    state: Arc<watch::Sender<State>>,
}

impl Proxy {
    pub(crate) async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = State { target, refuses: false, swallows_answers: false, era: 0 };
        let proxy = Self { address, state: Arc::new(watch::Sender::new(state)) };
        let state = proxy.state.subscribe();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if !state.borrow().refuses {
                    tokio::spawn(carry(client, state.clone()));
                }
            }
        });
        proxy
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}/ws", self.address)
    }

    /// Breaks all connections.
    pub(crate) fn cut(&self) {
        self.state.send_modify(|state| (state.era, state.swallows_answers) = (state.era + 1, false));
    }

    /// Breaks new connections at once, or lets them through again.
    pub(crate) fn refuse(&self, refuses: bool) {
        self.state.send_modify(|state| state.refuses = refuses);
    }

    /// Lets nothing of what the server says through, until the next cut.
    pub(crate) fn swallow_answers(&self) {
        self.state.send_modify(|state| state.swallows_answers = true);
    }

    /// Leads new connections to another server.
    pub(crate) fn lead_to(&self, target: SocketAddr) {
        self.state.send_modify(|state| state.target = target);
    }
}

async fn carry(client: TcpStream, mut state: watch::Receiver<State>) {
    let State { target, era, .. } = state.borrow().clone();
    let Ok(server) = TcpStream::connect(target).await else { return };
    let (client_in, client_out) = client.into_split();
    let (server_in, server_out) = server.into_split();
    let answers = state.clone();
    tokio::select! {
        () = copy(client_in, server_out, || false) => {}
        () = copy(server_in, client_out, || answers.borrow().swallows_answers) => {}
        _ = state.wait_for(|state| state.era != era) => {}
    }
}

async fn copy(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, swallows: impl Fn() -> bool) {
    let mut buffer = vec![0; 4096];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if !swallows() && to.write_all(&buffer[..count]).await.is_err() {
            break;
        }
    }
}
