//! What the proxy does to connections, seen from both of their ends.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chat_check::proxy::{Proxy, Watch, Way};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

/// How long anything here may take on a slow machine before it counts as broken.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long nothing has to come to count as silence.
const SILENCE: Duration = Duration::from_millis(150);

/// A proxy with a connection through it.
struct Line {
    proxy: Proxy,
    client: TcpStream,
    server: TcpStream,
    listener: TcpListener,
}

async fn line() -> Line {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Proxy::to(listener.local_addr().unwrap()).await.unwrap();
    let (client, server) = connect(&proxy, &listener).await;
    Line { proxy, client, server, listener }
}

/// Connects through the proxy; a first byte in both directions shows that it stands.
async fn connect(proxy: &Proxy, listener: &TcpListener) -> (TcpStream, TcpStream) {
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    let (mut server, _) = timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
    say(&mut client, "?").await;
    hears(&mut server, "?").await;
    say(&mut server, "!").await;
    hears(&mut client, "!").await;
    (client, server)
}

async fn say(stream: &mut TcpStream, words: &str) {
    stream.write_all(words.as_bytes()).await.unwrap();
}

async fn hears(stream: &mut TcpStream, words: &str) {
    let mut heard = vec![0; words.len()];
    timeout(PATIENCE, stream.read_exact(&mut heard)).await.expect("nothing came").unwrap();
    assert_eq!(heard, words.as_bytes());
}

async fn hears_nothing(stream: &mut TcpStream) {
    let read = timeout(SILENCE, stream.read_u8()).await;
    assert!(read.is_err(), "{read:?} instead of silence");
}

/// Returns how the connection ends: `None` in order, else the error.
async fn end(stream: &mut TcpStream) -> Option<std::io::ErrorKind> {
    match timeout(PATIENCE, stream.read_u8()).await.expect("no end") {
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => None,
        Err(error) => Some(error.kind()),
        Ok(byte) => panic!("{byte} instead of the end"),
    }
}

#[tokio::test]
async fn what_is_said_passes_and_so_does_the_end() {
    let mut line = line().await;
    let long = "chat".repeat(100_000);
    let (client, server) = (&mut line.client, &mut line.server);
    tokio::join!(say(client, &long), hears(server, &long));
    drop(line.client);
    assert_eq!(end(&mut line.server).await, None);
}

#[tokio::test]
async fn a_delay_holds_up_each_byte_as_long_and_keeps_their_order() {
    const DELAY: Duration = Duration::from_millis(200);
    let mut line = line().await;
    line.proxy.answers(Way::Delay(DELAY));
    let began = Instant::now();
    for word in ["one ", "two ", "three"] {
        say(&mut line.server, word).await;
        tokio::time::sleep(DELAY / 4).await;
    }
    hears(&mut line.client, "one ").await;
    assert!(began.elapsed() >= DELAY, "{:?}", began.elapsed());
    hears(&mut line.client, "two three").await;
    assert!(began.elapsed() >= DELAY + DELAY / 2, "each waits for itself");
}

#[tokio::test]
async fn swallowed_bytes_never_come_and_the_other_direction_goes_on() {
    let mut line = line().await;
    line.proxy.answers(Way::Swallow);
    say(&mut line.server, "lost").await;
    hears_nothing(&mut line.client).await;
    say(&mut line.client, "heard").await;
    hears(&mut line.server, "heard").await;
    line.proxy.answers(Way::Pass);
    say(&mut line.server, "after a hole").await;
    hears_nothing(&mut line.client).await;
    let (mut client, mut server) = connect(&line.proxy, &line.listener).await;
    say(&mut server, "anew").await;
    hears(&mut client, "anew").await;
}

#[tokio::test]
async fn a_cut_ends_both_sides_in_order_and_new_connections_pass() {
    let mut line = line().await;
    line.proxy.cut();
    assert_eq!(end(&mut line.client).await, None);
    assert_eq!(end(&mut line.server).await, None);
    connect(&line.proxy, &line.listener).await;
}

#[tokio::test]
async fn a_reset_ends_both_sides_with_an_error() {
    let mut line = line().await;
    line.proxy.reset();
    assert_eq!(end(&mut line.client).await, Some(std::io::ErrorKind::ConnectionReset));
    assert_eq!(end(&mut line.server).await, Some(std::io::ErrorKind::ConnectionReset));
    let (mut client, mut server) = connect(&line.proxy, &line.listener).await;
    line.proxy.cut();
    assert_eq!((end(&mut client).await, end(&mut server).await), (None, None), "only that one was to be reset");
}

#[tokio::test]
async fn a_half_close_silences_the_server_and_not_the_client() {
    let mut line = line().await;
    line.proxy.half_close();
    assert_eq!(end(&mut line.client).await, None);
    say(&mut line.client, "still here").await;
    hears(&mut line.server, "still here").await;
}

#[tokio::test]
async fn a_narrow_line_takes_its_time() {
    let mut line = line().await;
    line.proxy.requests(Way::Bandwidth(10_000));
    let words = "x".repeat(4_000);
    let began = Instant::now();
    let (client, server) = (&mut line.client, &mut line.server);
    tokio::join!(say(client, &words), hears(server, &words));
    assert!(began.elapsed() >= Duration::from_millis(350), "{:?}", began.elapsed());
}

#[tokio::test]
async fn whom_it_refuses_it_hangs_up_on() {
    let line = line().await;
    line.proxy.refuse(true);
    let mut refused = TcpStream::connect(line.proxy.address()).await.unwrap();
    assert_eq!(end(&mut refused).await, None);
    line.proxy.refuse(false);
    connect(&line.proxy, &line.listener).await;
}

#[tokio::test]
async fn it_leads_elsewhere_and_leaves_who_is_there() {
    let mut line = line().await;
    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    line.proxy.lead_to(other.local_addr().unwrap());
    connect(&line.proxy, &other).await;
    say(&mut line.client, "still here").await;
    hears(&mut line.server, "still here").await;
}

#[tokio::test]
async fn nothing_listens_when_it_is_gone() {
    let mut line = line().await;
    let address = line.proxy.address();
    drop(line.proxy);
    assert_eq!(end(&mut line.client).await, None);
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(address).await.is_ok() {
        assert!(Instant::now() < deadline, "it still listens");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Cuts as soon as the server says a forbidden word.
struct Censor(Arc<Mutex<Vec<String>>>);

impl Watch for Censor {
    fn asked(&mut self, bytes: &[u8]) -> bool {
        self.0.lock().push(String::from_utf8_lossy(bytes).into_owned());
        true
    }

    fn answered(&mut self, bytes: &[u8]) -> bool {
        bytes != b"ack"
    }

    fn hung_up(&mut self) {
        self.0.lock().push("hung up".to_owned());
    }
}

#[tokio::test]
async fn a_watcher_sees_what_is_said_and_cuts_before_it_arrives() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let watcher = {
        let heard = heard.clone();
        Arc::new(move || Box::new(Censor(heard.clone())) as Box<dyn Watch>)
    };
    let proxy = Proxy::watched(listener.local_addr().unwrap(), watcher).await.unwrap();
    let (mut client, mut server) = connect(&proxy, &listener).await;
    say(&mut server, "ack").await;
    assert_eq!(end(&mut client).await, None);
    assert_eq!(*heard.lock(), ["?"]);
    let (mut client, server) = connect(&proxy, &listener).await;
    drop(server);
    assert_eq!(end(&mut client).await, None);
    assert_eq!(*heard.lock(), ["?", "?", "hung up"]);
}

#[tokio::test]
async fn what_is_held_fills_the_line_and_arrives_whole_later() {
    let mut line = line().await;
    line.proxy.answers(Way::Hold);
    say(&mut line.server, "held").await;
    hears_nothing(&mut line.client).await;
    let more = vec![b'x'; 64 << 20]; // more than any kernel keeps
    let mut rest = &more[..];
    while let Ok(written) = timeout(SILENCE, line.server.write(rest)).await {
        rest = &rest[written.unwrap()..];
        assert!(!rest.is_empty(), "somebody reads");
    }
    line.proxy.answers(Way::Pass);
    hears(&mut line.client, "held").await;
    let mut all = vec![0; more.len() - rest.len()];
    timeout(PATIENCE, line.client.read_exact(&mut all)).await.unwrap().unwrap();
    assert!(all.iter().all(|byte| *byte == b'x'));
}
